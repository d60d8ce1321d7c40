// Server-sent events out of a response (WHATWG HTML 9.2): chunks may end inside of a line or of a character.

/**
 * The data of each event, as soon as the event is complete.
 * @param {ReadableStream<Uint8Array>} stream it is cancelled where nobody reads on
 * @returns {AsyncGenerator<string>}
 */
export async function* readEvents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return; // an event that was not completed counts for nothing
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/); // a return at the end may be half of a line's end
      rest = lines.pop();
      for (const line of lines) {
        if (line) data.push(...dataOf(line));
        else if (data.length) yield data.splice(0).join("\n");
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // it may have ended by itself
  }
}

/** What a line adds to the data: nothing where it is a comment or another field. */
function dataOf(line) {
  const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
  return name === "data" ? [value] : [];
}
