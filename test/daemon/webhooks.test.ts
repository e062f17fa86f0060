import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { addressGuard } from '../../src/core/webhook-post.ts';
import { systemClock } from '../../src/deps.ts';
import { createPostWebhook } from '../../src/webhook-http.ts';
import { startDaemon, stopDaemons } from '../helpers/daemon.ts';
import { describeEachDatabase } from '../helpers/databases.ts';

type Got = { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: string };

const servers: Server[] = [];

/** A real receiver on a free port. */
const receive = async (answer: (response: ServerResponse, got: Got) => void): Promise<{ url: string; got: Got[] }> => {
	const got: Got[] = [];
	const server = createServer((request, response) => {
		let body = '';
		request.setEncoding('utf8').on('data', (text: string) => {
			body += text;
		});
		request.on('end', () => {
			const each = { path: request.url ?? '', headers: request.headers, body };
			got.push(each);
			answer(response, each);
		});
	});
	servers.push(server);
	await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
	return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, got };
};

afterEach(async () => {
	await stopDaemons();
	for (const server of servers.splice(0)) {
		server.closeAllConnections();
		server.close();
	}
});

describeEachDatabase('a webhook of a daemon', ({ freshUrl }) => {
	it('gets the notification over HTTP, with a signature that its secret makes', async () => {
		const { url, got } = await receive((response) => response.writeHead(200).end('thanks'));
		const { api } = await startDaemon(await freshUrl());
		const { webhook, secret } = await api.createWebhook({ url: `${url}/hook?x=1` });
		const test = await api.testWebhook({ webhook_id: webhook.id });
		expect(test).toMatchObject({ success: true, http_status: 200, answer: 'thanks', error_message: null });
		await api.createClient({ name: 'acme' });
		await expect.poll(() => got.length, { timeout: 20_000, interval: 100 }).toBe(2);
		for (const { path, headers, body } of got) {
			expect(path).toBe('/hook?x=1');
			const expected = createHmac('sha256', secret ?? '')
				.update(`${String(headers['x-spotctl-timestamp'])}.${body}`)
				.digest('hex');
			expect(headers['x-spotctl-signature']).toBe(`v1=${expected}`);
		}
		await expect.poll(async () => (await api.listWebhookDeliveries({ state: 'delivered' })).items.length, { timeout: 10_000 }).toBe(1);
	});

	it('is not led elsewhere by a redirect, and says so', async () => {
		const inner = await receive((response) => response.end('secret'));
		const outer = await receive((response) => response.writeHead(307, { location: inner.url }).end());
		const { api } = await startDaemon(await freshUrl());
		const { webhook } = await api.createWebhook({ url: outer.url });
		expect(await api.testWebhook({ webhook_id: webhook.id })).toMatchObject({
			success: false,
			http_status: 307,
			error_message: 'answered 307; redirects are not followed',
		});
		expect(inner.got).toEqual([]);
	});
});

const post = createPostWebhook(systemClock);
const request = (url: string, more: object = {}) =>
	post({
		url,
		headers: {},
		body: '{}',
		timeoutMs: 5_000,
		signal: new AbortController().signal,
		refuse: addressGuard([]),
		...more,
	});

it('a name is judged by the addresses it stands for, when it is connected to', async () => {
	const { url, got } = await receive((response) => response.end('ok'));
	const named = url.replace('127.0.0.1', 'localhost');
	const refuse = (address: string) => (address === '127.0.0.1' || address === '::1' ? `${address} is refused` : null);
	await expect(request(named, { refuse })).rejects.toThrow(/is refused/);
	await expect(request(url, { refuse })).rejects.toThrow(/is refused/);
	expect(got).toEqual([]);
	await expect(request(named)).resolves.toMatchObject({ status: 200, text: 'ok' });
});

it('a receiver that is slow, that drips, or that never stops talking holds nobody', async () => {
	const silent = await receive(() => undefined);
	await expect(request(silent.url, { timeoutMs: 200 })).rejects.toThrow('no answer within 0.2 s');
	const dripping = await receive((response) => {
		response.writeHead(200);
		const timer = setInterval(() => response.write('.'), 20);
		response.on('close', () => clearInterval(timer));
	});
	await expect(request(dripping.url, { timeoutMs: 300 })).rejects.toThrow('no answer within 0.3 s');
	const endless = await receive((response) => {
		response.writeHead(200);
		const more = (): void => {
			while (!response.destroyed && response.write('x'.repeat(65_536)));
			if (!response.destroyed) response.once('drain', more);
		};
		more();
	});
	expect((await request(endless.url)).text).toHaveLength(4096);
});

it('a daemon that stops waits for no receiver', async () => {
	const silent = await receive(() => undefined);
	const closing = new AbortController();
	const waiting = request(silent.url, { signal: closing.signal });
	closing.abort(new Error('the daemon stops'));
	await expect(waiting).rejects.toThrow('the daemon stops');
});
