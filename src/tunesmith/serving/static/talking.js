// One answer of a model that converses, piece by piece.

import { converse, ServiceError } from "./service.js";
import { readEvents } from "./sse.js";

const END = "[DONE]";

/**
 * Have a model say something.
 * @param {Object} wish model, messages, and settings of the request
 * @param {AbortSignal} signal stops it
 * @returns {AsyncGenerator<{text: string, end: string|null}>} end: why it ends, of the last piece
 * @throws {ServiceError} of kind "cut" where it breaks off
 */
export async function* talk(wish, signal) {
  const stream = await converse({ ...wish, stream: true }, signal);
  let hasEnded = false;
  try {
    for await (const data of readEvents(stream)) {
      if (data === END) break;
      const piece = readPiece(JSON.parse(data));
      hasEnded ||= piece.end !== null;
      yield piece;
    }
  } catch (error) {
    if (error instanceof ServiceError) throw error;
    throw new ServiceError(signal.aborted ? "stopped" : "cut");
  }
  if (!hasEnded) throw new ServiceError("cut");
}

function readPiece({ error, choices }) {
  if (error) throw new ServiceError("cut", { message: String(error.message ?? "") });
  const [choice] = choices ?? []; // none where the event only counts tokens
  return { text: choice?.delta?.content ?? "", end: choice?.finish_reason ?? null };
}
