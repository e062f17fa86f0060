import { lookup as resolve } from 'node:dns';
import { isIP } from 'node:net';
import type { PostWebhook } from './core/webhook-post.ts';
import type { Clock } from './deps.ts';

const MOST_BYTES = 4096;

class Refused extends Error {}

/** Calls webhooks with undici: a connection of its own for each request, and never to an address that `refuse` refuses, whatever its name says. */
export const createPostWebhook =
	(clock: Clock): PostWebhook =>
	async ({ url, headers, body, timeoutMs, signal, refuse }) => {
		const { Agent, request } = await import('undici');
		const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
		const literal = isIP(host) === 0 ? null : refuse(host);
		if (literal !== null) throw new Refused(literal);
		const agent = new Agent({
			pipelining: 0,
			connect: {
				timeout: timeoutMs,
				lookup: (name, options, done) =>
					resolve(name, { ...options, all: true }, (error, addresses) => {
						if (error) return done(error, []);
						// One bad address is enough: a name that stands for it and for a good one is a trap.
						const problem = addresses.map(({ address }) => refuse(address)).find((each) => each !== null);
						if (problem !== undefined) return done(new Refused(problem), []);
						const [first] = addresses;
						if (options.all !== true && first !== undefined) return done(null, first.address, first.family);
						return done(null, addresses);
					}),
			},
		});
		const running = new AbortController();
		const stop = (): void => running.abort(signal.reason);
		signal.addEventListener('abort', stop, { once: true });
		if (signal.aborted) stop();
		const cancel = clock.after(timeoutMs, () => running.abort(new Error(`no answer within ${timeoutMs / 1000} s`)));
		try {
			const answer = await request(url, {
				method: 'POST',
				headers,
				body,
				dispatcher: agent,
				signal: running.signal,
				headersTimeout: 0,
				bodyTimeout: 0,
			});
			const parts: Buffer[] = [];
			let size = 0;
			for await (const part of answer.body as AsyncIterable<Buffer>) {
				parts.push(part);
				size += part.length;
				if (size >= MOST_BYTES) break;
			}
			return { status: answer.statusCode, text: Buffer.concat(parts).subarray(0, MOST_BYTES).toString('utf8') };
		} catch (error) {
			if (running.signal.aborted) throw running.signal.reason;
			throw error;
		} finally {
			cancel();
			signal.removeEventListener('abort', stop);
			await agent.destroy().catch(() => undefined);
		}
	};
