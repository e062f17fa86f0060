import { connect, type Socket } from 'node:net';

const LARGEST = 64 * 1024;
const EMPTY = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');

/**
 * One keep-alive HTTP/1.1 connection: a request at a time, written as it is, and a parser that takes only what a server of this bench may
 * send (a status line, `Content-Length`, no `Connection: close`). Anything else ends the run. Node's own client costs four times as much
 * and would be what is measured.
 */
export class Connection {
	/** Of the last answer; the text only until the next request is sent. */
	status = 0;
	#body: Buffer = EMPTY;
	#held: Buffer = EMPTY;
	#done: (() => void) | null = null;
	readonly #socket: Socket;
	readonly #fail: (error: Error) => void;

	private constructor(port: number, opened: () => void, fail: (error: Error) => void) {
		this.#fail = fail;
		const onread = {
			buffer: Buffer.allocUnsafe(LARGEST),
			callback: (size: number, chunk: Uint8Array) => {
				this.#receive(Buffer.from(chunk.buffer, chunk.byteOffset, size));
				return true;
			},
		};
		this.#socket = connect({ host: '127.0.0.1', port, noDelay: true, onread }, opened);
		this.#socket.on('error', fail);
		this.#socket.on('close', () => this.#done !== null && fail(new Error('the server closed the connection')));
	}

	/** `fail` hears of everything that makes the measurement worthless. */
	static open(port: number, fail: (error: Error) => void): Promise<Connection> {
		return new Promise((resolve, reject) => {
			const connection: Connection = new Connection(
				port,
				() => resolve(connection),
				(error) => {
					reject(error);
					fail(error);
				},
			);
		});
	}

	send(request: Buffer, done: () => void): void {
		this.#done = done;
		this.#socket.write(request);
	}

	/** Sends and reads the answer as JSON; for what is not counted in tens of thousands a second. */
	ask(request: Buffer): Promise<{ status: number; body: Record<string, unknown> }> {
		return new Promise((resolve) => this.send(request, () => resolve({ status: this.status, body: JSON.parse(this.text()) })));
	}

	text(): string {
		return this.#body.toString('utf8');
	}

	close(): void {
		this.#done = null;
		this.#socket.destroy();
	}

	#receive(chunk: Buffer): void {
		const data = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
		const end = data.indexOf(HEAD_END);
		if (end === -1) {
			this.#held = Buffer.from(data);
			return;
		}
		const head = data.toString('latin1', 0, end);
		const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(head) ?? [];
		const [, length] = /\r\ncontent-length: (\d+)/i.exec(head) ?? [];
		const size = end + HEAD_END.length + Number(length);
		if (status === undefined || length === undefined || /\r\nconnection: close/i.test(head) || data.length > size || this.#done === null) {
			this.#fail(new Error(`not an answer this client understands: ${data.toString('latin1', 0, 500)}`));
			return;
		}
		if (data.length < size) {
			this.#held = Buffer.from(data);
			return;
		}
		this.#held = EMPTY;
		this.status = Number(status);
		this.#body = data.subarray(end + HEAD_END.length);
		const done = this.#done;
		this.#done = null;
		done();
	}
}
