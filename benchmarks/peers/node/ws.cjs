// The peer of comparison: `ws` and nothing else. No JSON, no authorisation, no limits.
//
//   /pair?me=a&to=b   what `a` says is handed to `b`
//   /listen           hears everything that anybody says at /speak
//
// Usage: node ws.cjs PORT
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  perMessageDeflate: false,
});
const ends = new Map();
const listeners = new Set();

server.on("connection", (socket, request) => {
  const { pathname, searchParams } = new URL(request.url, "ws://here");
  if (pathname === "/pair") {
    const to = searchParams.get("to");
    ends.set(searchParams.get("me"), socket);
    socket.on("message", (data) => ends.get(to)?.send(data, { binary: false }));
  } else if (pathname === "/listen") {
    listeners.add(socket);
    socket.on("close", () => listeners.delete(socket));
  } else {
    socket.on("message", (data) => {
      for (const listener of listeners) listener.send(data, { binary: false });
    });
  }
});
