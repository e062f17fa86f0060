import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { type AppWorld, appWorld, bearer } from './world.ts';

const open: AppWorld[] = [];
afterEach(async () => {
	for (const { app } of open.splice(0)) {
		app.server.closeAllConnections();
		await app.close();
	}
});

const listening = async () => {
	const world = await appWorld();
	open.push(world);
	const url = await world.app.listen({ port: 0, host: '127.0.0.1' });
	return { ...world, url, port: Number(new URL(url).port) };
};

const heard = (socket: Socket): Promise<string> =>
	new Promise((done, fail) => {
		let text = '';
		socket.on('data', (chunk) => {
			text += String(chunk);
		});
		socket.on('end', () => done(text));
		socket.on('error', fail);
	});

/** What a server answers to bytes, until it closes. */
const raw = async (port: number, bytes: string): Promise<string> => {
	const socket = connect(port, '127.0.0.1');
	socket.write(bytes);
	return heard(socket);
};

describe('on a real connection', () => {
	it('a body of 10 MB is refused so that the client can read why, and the connection goes on', async () => {
		const { url } = await listening();
		const send = (size: number) =>
			fetch(`${url}/api/agents/a-1/heartbeat`, {
				method: 'POST',
				headers: { ...bearer('acme'), 'content-type': 'application/json' },
				body: JSON.stringify({ message: 'x'.repeat(size) }),
			});
		for (let at = 0; at < 5; at++) {
			const response = await send(10_000_000);
			expect(response.status).toBe(413);
			expect(await response.json()).toMatchObject({ status: 'error', code: 'PAYLOAD_TOO_LARGE' });
		}
		expect((await send(10)).status).toBe(200);
	});

	it('a body of 10 MB in chunks of unknown number is refused as well', async () => {
		const { port } = await listening();
		const socket = connect(port, '127.0.0.1');
		const answer = heard(socket);
		socket.write(
			'POST /api/agents/a-1/heartbeat HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n',
		);
		for (let at = 0; at < 160; at++) socket.write(`10000\r\n${'x'.repeat(65_536)}\r\n`);
		socket.write('0\r\n\r\n');
		expect(await answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*PAYLOAD_TOO_LARGE/);
	});

	it('an address above 16 kB is 431 in the shape of every error, never 404', async () => {
		const { port } = await listening();
		const text = await raw(port, `GET /api/agents/${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
		expect(text).toMatch(/^HTTP\/1\.1 431 [\s\S]*"status":"error"[\s\S]*"code":"HEADERS_TOO_LARGE"/);
	});

	it('what never became a request is answered under an id of its own all the same', async () => {
		const { port } = await listening();
		const ids = [];
		for (const bytes of [`GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 'hello\r\n\r\n']) {
			const text = await raw(port, bytes);
			const said = /"request_id":"([^"]+)"/.exec(text)?.[1];
			expect(/\r\nX-Request-ID: (\S+)\r\n/i.exec(text)?.[1]).toBe(said);
			ids.push(said);
		}
		expect(new Set(ids).size).toBe(2);
		expect(ids).not.toContain(undefined);
	});

	it('an id of 10 kB, dots and an absolute address reach the deletion probe', async () => {
		const { port, calls } = await listening();
		for (const target of [`/api/agents/${'x'.repeat(10_000)}`, '/api/agents/..', 'http://example.com/api/agents/x']) {
			expect(await raw(port, `GET ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme\r\nConnection: close\r\n\r\n`)).toMatch(
				/^HTTP\/1\.1 200/,
			);
		}
		expect(calls.map((call) => call.name)).toEqual(['probeAgent', 'probeAgent', 'probeAgent']);
	});

	it('bytes that are no HTTP are 400 in the shape of every error', async () => {
		const { port } = await listening();
		expect(await raw(port, 'hello\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*"code":"BAD_REQUEST"/);
	});

	it('the handler learns that the caller is gone', async () => {
		const { port, answer, calls } = await listening();
		let release = (): void => undefined;
		answer(
			'pendingCommands',
			new Promise((done) => {
				release = () => done({ commands: [], count: 0 });
			}),
		);
		const socket = connect(port, '127.0.0.1');
		socket.write('GET /api/agents/a-1/pending-commands HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme\r\n\r\n');
		await expect.poll(() => calls.length).toBe(1);
		expect(calls[0]?.caller.gone()).toBe(false);
		socket.destroy();
		await expect.poll(() => calls[0]?.caller.gone()).toBe(true);
		release();
		await delay(20);
	});

	it('a read whose caller gave up before its turn is not begun', async () => {
		const { port, answer, calls, app } = await listening();
		app.server.once('connection', (server: Socket) => {
			answer('listOwnAgents', () => {
				server.destroy();
				return { items: [], nextCursor: null };
			});
		});
		const socket = connect(port, '127.0.0.1');
		const ended = new Promise((done) => socket.on('close', done));
		const request = 'GET /api/agents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme\r\n\r\n';
		socket.write(request + request);
		await ended;
		// Whatever waits for its turn has had it by then.
		for (let turns = 0; turns < 10; turns++) await new Promise((done) => setImmediate(done));
		expect(calls.map((call) => call.name)).toEqual(['listOwnAgents']);
	});

	it('stays open between polls', async () => {
		const { port, app } = await listening();
		expect(app.server.keepAliveTimeout).toBeGreaterThanOrEqual(75_000);
		const socket = connect(port, '127.0.0.1');
		const request = 'GET /api/agents/a-1/config HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer acme\r\n\r\n';
		let text = '';
		socket.on('data', (chunk) => {
			text += String(chunk);
		});
		socket.write(request);
		await expect.poll(() => text.match(/HTTP\/1\.1 200/g)?.length).toBe(1);
		socket.write(request + request);
		await expect.poll(() => text.match(/HTTP\/1\.1 200/g)?.length).toBe(3);
		socket.destroy();
	});
});
