// The shapes that the REST API and the socket speak, for the type checker alone.
// Global, because a type import in a comment would count as an import when file names are hashed,
// and type imports go round in circles.

declare namespace Parley {
  interface Position { epoch: string; offset: number }
  type Presence = 'active' | 'away' | 'offline';
  type ConversationKind = 'public' | 'private' | 'direct';
  type NoticeKind = 'hold' | 'monitoring';

  interface Conversation {
    id: string; kind: ConversationKind; name: string; topic: string;
    member: boolean; role: 'owner' | 'member' | null; people?: string[]; size: number;
    position: Position; read: number; unread: number; mentions?: number;
    last_at: string | null; notices?: { kind: NoticeKind; since: string | null }[];
  }

  interface Reaction { emoji: string; users: string[] }

  /** All but id and size are null where it was erased; width and height: it has a preview. */
  interface Attachment {
    id: string; size: number; name: string | null; type: string | null; sha256: string | null;
    width: number | null; height: number | null;
  }
  interface Upload {
    id: string; place: string; conversation: string; file: File; name: string; size: number;
    state: 'waiting' | 'sending' | 'checking' | 'ready' | 'failed';
    /** Bytes that have gone. */
    sent: number;
    error: string; done: Attachment | null;
  }

  interface Message {
    id: string; conversation: string; author: string; body: string | null; at: string;
    offset: number; revision: number; edited_at: string | null; deleted_at: string | null;
    thread: string | null; replies: { count: number; last_at: string } | null;
    attachments: Attachment[]; reactions: Reaction[]; log: { index: number } | null;
  }

  interface Page { messages: Message[]; position: Position; more: boolean }
  interface Ack {
    id: string; conversation: string; offset: number; revision: number; at: string;
    entry: number; leaf_hash: string;
  }
  interface Person { id: string; display_name: string; role: string; is_active: boolean }
  interface Member { user: string; joined_at: string; role: 'owner' | 'member' }
  interface Version {
    revision: number; body: string | null; editor: string; at: string;
    kind: 'created' | 'edited' | 'deleted';
  }
  interface Receipt {
    message: string; revision: number; written_at: string; entry: number; leaf: string;
    leaf_hash: string; index: number | null; checkpoint: string | null;
    tree_size: number | null; proof: string[];
    /** The log's public key, where the server gives it. */
    verifier_key?: string | null;
  }
  interface Me {
    id: string; display_name: string; role: string;
    organization: { id: string; name: string };
  }
  interface Boot { me: Me }

  interface Participant {
    pid: string; gen: number; user: string; device: string; at: string; muted: boolean; muted_by: string | null;
    screen: boolean; video: boolean; key: string; fingerprint: string; signature: string;
  }
  /** The media server, and what lets one's place in; good for ten minutes. */
  interface Sfu { url: string; token: string }
  interface Ice { servers: { urls: string[]; username: string; credential: string }[]; ttl: number; sfu?: Sfu | null }
  interface VoicePlace {
    conversation: string; call: string; pid: string; gen: number; s: string; e: string; o: number;
    participants: Participant[]; ice: Ice; capacity: number; host: boolean; notice: string[]; lease: number; renew: number; sfu?: Sfu | null;
  }

  interface DurableFrame { s: string; e: string; o: number; t: string; d: any }
  interface EphemeralFrame { s: string; t: string; d: any; e?: undefined; o?: undefined }
  type EventFrame = DurableFrame | EphemeralFrame;
  type ServerFrame =
    | { kind: 'ok'; id: number; ok: any }
    | { kind: 'err'; id: number; err: { code: number; name: string; retry: boolean; message: string } }
    | { kind: 'event'; event: EventFrame }
    | { kind: 'control'; op: string; d: any };

  interface OutboxEntry {
    id: string; conversation: string; thread: string | null; body: string; at: number;
    attachments: Attachment[]; state: 'sending' | 'failed'; error: string;
  }

  type Phase = 'idle' | 'connecting' | 'ready' | 'waiting' | 'stopped';
  interface ConnectionState {
    phase: Phase;
    /** Milliseconds: since when there has been no connection; 0 while there is one. */
    since: number;
    /** Why it stopped: a close code of the server, or 401 from the ticket. */
    code: number;
  }
  interface Result {
    message: string;
    conversation: string;
    author: string;
    at: string;
    edited_at: string | null;
    offset: number;
    thread: string | null;
    pieces: { text: string; hit: boolean }[];
  }
  interface Found {
    results: Result[];
    next: string | null;
    reached: string | null;
    indexed: boolean;
  }
  interface Clock {
    now(): number;
    setTimeout(task: () => void, ms: number): unknown;
    clearTimeout(timer: any): void;
  }
  interface SocketLike {
    send(data: string): void;
    close(code?: number, reason?: string): void;
    onopen: ((event: any) => void) | null;
    onmessage: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    onerror: ((event: any) => void) | null;
  }
  interface KeyValue {
    readonly length: number;
    key(index: number): string | null;
    getItem(key: string): string | null;
    setItem(key: string, value: string): void;
    removeItem(key: string): void;
  }

  type Session = import('./session.js').Session;
  type Timeline = import('./timeline.js').Timeline;
  type Row = import('./rows.js').Row;
  type Step = import('./receipt.js').Step;
  type MarkdownNode = import('./markdown.js').Node;
  type Interface = import('./ui/state.js').Interface;
  type Place = import('./ui/state.js').Place;
  type App = { session: Session; ui: Interface };

  namespace Voice {
    type Api = import('./api.js').Api;
    type Streams = import('./streams.js').Streams;
    type Devices = typeof import('./voice/devices.js');
    type DeviceProblem = import('./voice/devices.js').DeviceProblem;
    type Device = import('./voice/identity.js').Device;
    type Action = import('./voice/negotiation.js').Action;
    type Happening = import('./voice/negotiation.js').Happening;
    type Signal = import('./voice/negotiation.js').Signal;
    type Kind = import('./voice/peer.js').Kind;
    type PeerState = import('./voice/peer.js').PeerState;
    type View = import('./voice/mesh.js').View;
    type MeshRoute = Pick<import('./voice/mesh.js').Mesh, 'views' | 'members' | 'update' | 'meet' | 'received' | 'send' | 'resumed' | 'sources' | 'close'>;
    type SfuRoute = Pick<import('./voice/sfu.js').Sfu, 'views' | 'sent' | 'update' | 'begin' | 'send' | 'mute' | 'sources' | 'close'>;
    type Grade = import('./voice/quality.js').Grade;
    type Look = import('./voice/quality.js').Look;
    type Measured = import('./voice/quality.js').Measured;
    type Engine = typeof import('./voice/room.js').browserEngine;
    type End = import('./voice/room.js').End;
    type Quality = import('./voice/hearing.js').Quality;
    type Source = import('./voice/hearing.js').Source;
    type Roster = import('./voice/roster.js').Roster;
    type CallOptions = import('./voice/calls.js').Options;
    type RoomView = import('./voice/calls.js').RoomView;
    type News = import('./voice/calls.js').News;
  }

  interface PastCall {
    id: string; started_at: string; ended_at: string | null;
    participants: { pid: string; user: string; joined_at: string; left_at: string | null; reason: string | null; by: string | null }[];
  }
}
