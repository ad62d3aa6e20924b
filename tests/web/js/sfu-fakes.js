/** As much of livekit-client as a route sees, and the media server behind it, which a test plays. */

const SOURCES = new Set(['microphone', 'camera', 'screen_share']);

/** `rooms` are all that were made; `fail` says what a connection meets. */
export function livekit() {
  const world = { rooms: [], fail: () => null };

  class Room {
    constructor(options) {
      Object.assign(this, { options, state: 'disconnected', handlers: new Map(), remoteParticipants: new Map(), localParticipant: new Local() });
      world.rooms.push(this);
    }

    on(name, handler) {
      this.handlers.set(name, [...this.handlers.get(name) ?? [], handler]);
      return this;
    }

    emit(name, ...given) { for (const handler of this.handlers.get(name) ?? []) handler(...given); }

    async connect(url, token) {
      Object.assign(this, { url, token });
      this.becomes('connecting');
      await null;
      const failure = world.fail(this);
      if (failure) {
        this.becomes('disconnected');
        this.emit('disconnected');
        throw failure;
      }
      this.becomes('connected');
    }

    async disconnect(stopTracks) {
      this.stopTracks = stopTracks;
      if (this.state !== 'disconnected') this.becomes('disconnected');
    }

    becomes(state) {
      this.state = state;
      this.emit('connectionStateChanged', state);
    }

    /** livekit-client has given the connection up. */
    lose() {
      this.becomes('disconnected');
      this.emit('disconnected');
    }

    /** Somebody is there, and these kinds of theirs come. */
    arrives(pid, ...sources) {
      const publications = sources.map((source) => [source, { source, track: { mediaStreamTrack: `${pid} ${source}`, receiver: { getStats: async () => new Map(), getSynchronizationSources: () => [{ audioLevel: 0.5 }] } } }]);
      this.remoteParticipants.set(pid, { trackPublications: new Map(publications) });
      this.emit('participantConnected');
    }
  }

  class Local {
    constructor() { Object.assign(this, { publications: new Map(), log: [], refuse: null }); }

    async publishTrack(track, { source }) {
      await null;
      if (this.refuse) throw this.refuse;
      if (!SOURCES.has(source)) throw new Error(source);
      const publication = {
        isMuted: false, source, track: { of: track, replaceTrack: async (next) => { publication.track.of = next; this.log.push(`replace ${source}`); } },
        mute: async () => { publication.isMuted = true; },
        unmute: async () => { publication.isMuted = false; },
      };
      this.publications.set(source, publication);
      this.log.push(`publish ${source}`);
    }

    async unpublishTrack(track, stop) {
      const found = [...this.publications.values()].find((one) => one.track.of === track);
      this.publications.delete(found.source);
      this.log.push(`unpublish ${found.source} ${stop}`);
    }

    getTrackPublication(source) { return this.publications.get(source); }
  }

  const RoomEvent = { ParticipantConnected: 'participantConnected', ParticipantDisconnected: 'participantDisconnected', TrackSubscribed: 'trackSubscribed', TrackUnsubscribed: 'trackUnsubscribed', ConnectionStateChanged: 'connectionStateChanged', Disconnected: 'disconnected' };
  return { world, library: { Room, RoomEvent } };
}
