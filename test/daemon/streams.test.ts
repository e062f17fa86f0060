import { describe, expect, it } from 'vitest';
import { csvDownload, csvLines, slug } from '../../src/contract/csv.ts';
import { readEvents } from '../../src/contract/sse.ts';
import type { Principal } from '../../src/core/caller.ts';
import { SpotError } from '../../src/errors.ts';
import { appWorld, PRINCIPALS, parts } from './world.ts';

const EXPORT = { method: 'GET', url: '/api/client/acme/export/switch-history' } as const;
const STREAM = { method: 'GET', url: '/api/events/stream' } as const;

const pages = async function* <T>(...all: T[]): AsyncGenerator<T> {
	yield* all;
};

const textOf = async (chunks: AsyncIterable<string>): Promise<string> => {
	let text = '';
	for await (const chunk of chunks) text += chunk;
	return text;
};

describe('CSV text', () => {
	it('is RFC 4180: CRLF, quotes where they are needed, and doubled inside', () => {
		expect(csvLines([['plain', 'a,b', 'say "x"', 'two\nlines', 'cr\rhere', '', 3]])).toBe(
			'plain,"a,b","say ""x""","two\nlines","cr\rhere",,3\r\n',
		);
	});

	it('makes no formula of what begins with = + - @ tab or CR, and leaves numbers alone (D-50)', () => {
		expect(csvLines([['=1+1', '+1', '-1+2', '@sum', '\tx', '\rx', '-0.500000', -2]])).toBe(
			`'=1+1,'+1,'-1+2,'@sum,'\tx,"'\rx",-0.500000,-2\r\n`,
		);
	});

	it('has its header where there is no row, and once where there are pages', async () => {
		expect(await textOf(csvDownload('x.csv', ['a', 'b'], pages()).chunks)).toBe('a,b\r\n');
		expect(await textOf(csvDownload('x.csv', ['a', 'b'], pages([[1, 2]], [[3, 4]])).chunks)).toBe('a,b\r\n1,2\r\n3,4\r\n');
	});

	it('is saved under a name that no header, shell or folder takes for anything else (D-50)', () => {
		expect(slug('018f-ab_C')).toBe('018f-ab_C');
		expect(slug('../../etc/passwd\r\nX: 1"; rm')).toBe('etc-passwd-X-1-rm');
		expect(slug('…')).toBe('export');
	});
});

describe('a CSV answer', () => {
	it('is a file of its own name and type, and no envelope', async () => {
		const { send, answer } = await appWorld();
		answer('exportSwitches', () => csvDownload('client_acme_switch_history.csv', ['a'], pages([['x']])));
		const { status, headers, text } = await send({ ...EXPORT, token: 'acme' });
		expect([status, text]).toEqual([200, 'a\r\nx\r\n']);
		expect(headers).toMatchObject({
			'content-type': 'text/csv; charset=utf-8',
			'content-disposition': 'attachment; filename=client_acme_switch_history.csv',
			'cache-control': 'no-store',
			'x-content-type-options': 'nosniff',
		});
	});

	it('that fails before its first row is an error answer as any other (D-49)', async () => {
		const { send, answer } = await appWorld();
		const failing = async function* (): AsyncGenerator<string[][]> {
			yield await Promise.reject(new SpotError('missing', 'NOT_FOUND', 'no client "acme"'));
		};
		answer('exportSwitches', () => csvDownload('x.csv', ['a'], failing()));
		const { status, headers, body } = await send({ ...EXPORT, token: 'acme' });
		expect([status, body['code'], headers['content-type']]).toEqual([404, 'NOT_FOUND', 'application/json; charset=utf-8']);
		expect(headers['content-disposition']).toBeUndefined();
	});

	it('that fails after that is cut off, never ended as if it were whole, and the log says why', async () => {
		const { app, send, answer, log } = await appWorld({}, 'error');
		const failing = async function* (): AsyncGenerator<string[][]> {
			yield [['x']];
			throw new Error('the disk is gone');
		};
		answer('exportSwitches', () => csvDownload('x.csv', ['a'], failing()));
		const url = await app.listen({ port: 0, host: '127.0.0.1' });
		await expect(fetch(`${url}${EXPORT.url}?token=acme`).then((response) => response.text())).rejects.toThrow();
		expect(log()).toEqual([
			expect.objectContaining({ operation: 'exports.switches', err: expect.objectContaining({ message: 'the disk is gone' }) }),
		]);
		expect((await send({ ...EXPORT, method: 'HEAD', token: 'acme' })).text).toBe('');
		await app.close();
	});

	it('is read no further than its reader takes it, and not at all once the reader has gone', async () => {
		const { app, answer } = await appWorld();
		let read = 0;
		let ended = false;
		const endless = async function* (): AsyncGenerator<string[][]> {
			try {
				for (;;) {
					read++;
					yield [['x'.repeat(100_000)]];
				}
			} finally {
				ended = true;
			}
		};
		answer('exportSwitches', () => csvDownload('x.csv', ['a'], endless()));
		const url = await app.listen({ port: 0, host: '127.0.0.1' });
		const { connect } = await import('node:net');
		const socket = connect(Number(new URL(url).port), '127.0.0.1');
		socket.pause();
		socket.write(`GET ${EXPORT.url}?token=acme HTTP/1.1\r\nhost: x\r\n\r\n`);
		const still = async (): Promise<number> => {
			for (let [before, same] = [-1, 0]; same < 20; ) {
				await new Promise((accept) => setTimeout(accept, 10));
				same = read === before ? same + 1 : 0;
				before = read;
			}
			return read;
		};
		await expect.poll(() => read).toBeGreaterThan(0);
		const stopped = await still();
		// What the kernel buffers between two sockets, and nothing of our own.
		expect(stopped).toBeLessThan(200);
		socket.destroy();
		await expect.poll(() => ended).toBe(true);
		expect(read).toBeLessThan(stopped + 3);
		await app.close();
	});
});

describe('?token=', () => {
	it('is a credential on CSV and event streams only, below a header, and in no log', async () => {
		const { send, log, calls } = await appWorld();
		for (const { url } of [EXPORT, STREAM]) {
			expect((await send({ method: 'GET', url: `${url}?token=acme` })).status).toBe(200);
			expect((await send({ method: 'GET', url: `${url}?%74oken=acme` })).status).toBe(200);
			expect((await send({ method: 'GET', url: `${url}?token=garbage-secret` })).status).toBe(401);
			expect((await send({ method: 'GET', url: `${url}?token=acme`, token: 'garbage' })).status).toBe(401);
			expect((await send({ method: 'GET', url: `${url}?token=acme&token=acme` })).status).toBe(401);
		}
		for (const url of ['/api/client/acme/switch-history', '/api/client/commands', '/api/admin/events'])
			expect((await send({ method: 'GET', url: `${url}?token=acme` })).status, url).toBe(401);
		expect(calls.every(({ input }) => !('token' in input))).toBe(true);
		expect(JSON.stringify(log())).not.toMatch(/token=(?!\*)|garbage-secret/);
	});
});

describe('an event stream', () => {
	it('has the headers of the contract, and no envelope', async () => {
		const { send, answer } = await appWorld();
		answer('streamEvents', () => parts({ event: 'connected', id: '7', data: { status: 'connected' } }));
		const { headers, text } = await send({ ...STREAM, token: 'acme' });
		expect(headers).toMatchObject({
			'content-type': 'text/event-stream; charset=utf-8',
			'cache-control': 'no-cache',
			'x-accel-buffering': 'no',
		});
		expect(text).toBe('id: 7\nevent: connected\ndata: {"status":"connected"}\n\n');
	});

	it('hands on where its reader was, from the header', async () => {
		const { send, calls } = await appWorld();
		await send({ ...STREAM, token: 'acme', headers: { 'last-event-id': '41.7-9' } });
		expect(calls[0]?.caller.lastEventId).toBe('41.7-9');
	});

	it('ends with a last event when its token is no longer accepted', async () => {
		const { send, answer } = await appWorld();
		const tokens = PRINCIPALS as Record<string, Principal>;
		tokens['passing'] = { kind: 'client', clientId: 'acme', tokenId: 'p', name: 'passing' };
		const beat = { event: 'heartbeat', id: '1', data: {} };
		answer('streamEvents', async function* () {
			yield beat;
			delete tokens['passing'];
			yield beat;
			yield beat;
		});
		const { text } = await send({ ...STREAM, token: 'passing' });
		expect(text.match(/event: \w+/g)).toEqual(['event: heartbeat', 'event: closing']);
		expect(text).toContain('"reason":"INVALID_TOKEN"');
	});

	it('is read by its client as it was sent, however it is cut', async () => {
		const text = 'id: 7\nevent: a\ndata: {"x":1}\n\n: remark\n\nevent: b\r\ndata: {"y":"é"}\r\n\r\n';
		const found = [];
		for await (const event of readEvents(pages(...text))) found.push(event);
		expect(found).toEqual([
			{ event: 'a', id: '7', data: { x: 1 } },
			{ event: 'b', id: null, data: { y: 'é' } },
		]);
	});
});
