/** One event of a stream. `id` is where a reader continues after it (`Last-Event-ID`); `data` is sent as one line of JSON. */
export type StreamEvent = { readonly event: string; readonly id: string | null; readonly data: Readonly<Record<string, unknown>> };

/** Events in their order. Ending it early (`return`) lets go of whatever it reads from. */
export type EventStream = AsyncIterable<StreamEvent>;

const texts = new WeakMap<StreamEvent, string>();

/** An event as it is sent. The text of an event that many readers get is made once. */
export const sseText = (event: StreamEvent): string => {
	let text = texts.get(event);
	if (text === undefined) {
		text = `${event.id === null ? '' : `id: ${event.id}\n`}event: ${event.event}\ndata: ${JSON.stringify(event.data)}\n\n`;
		texts.set(event, text);
	}
	return text;
};

const LONGEST = 1_048_576;

const dataOf = (text: string): Readonly<Record<string, unknown>> => {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : { value };
	} catch {
		return { text };
	}
};

const readBlock = (block: string): StreamEvent | null => {
	let [event, id, data] = ['message', null as string | null, ''];
	for (const line of block.split('\n')) {
		const colon = line.indexOf(':');
		if (colon === 0) continue;
		const name = colon === -1 ? line : line.slice(0, colon);
		const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
		if (name === 'event') event = value;
		else if (name === 'id') id = value;
		else if (name === 'data') data += `${data === '' ? '' : '\n'}${value}`;
	}
	return data === '' ? null : { event, id, data: dataOf(data) };
};

/** Reads a stream of server-sent events; comments and blocks without data are left out. */
export const readEvents = async function* (chunks: AsyncIterable<string>): AsyncGenerator<StreamEvent> {
	let rest = '';
	for await (const chunk of chunks) {
		// A line end may be cut in two.
		rest = (rest + chunk).replaceAll('\r\n', '\n');
		if (rest.length > LONGEST) throw new Error('an event of the stream is too long');
		for (let end = rest.indexOf('\n\n'); end !== -1; end = rest.indexOf('\n\n')) {
			const event = readBlock(rest.slice(0, end));
			rest = rest.slice(end + 2);
			if (event !== null) yield event;
		}
	}
};
