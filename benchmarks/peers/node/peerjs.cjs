// The signaling server of PeerJS as it comes. Usage: node peerjs.cjs PORT
const { PeerServer } = require("peer");

PeerServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  path: "/",
  alive_timeout: 3_600_000, // the generator sends no heartbeats of theirs
});
