/**
 * node:http. Importing it would also load Node's own fetch() and WebSocket, 35 ms and 11 MiB in each process, because an import reads every
 * export, and one of them loads these. (node:https does not.)
 */
export const http = process.getBuiltinModule("node:http");
