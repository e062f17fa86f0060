import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StreamEvent } from '../../src/contract/sse.ts';
import { SpotError } from '../../src/errors.ts';
import { temporaryFolder } from '../helpers/folders.ts';
import { cli, stillClock } from './cli.ts';

const row = (id: number, over: object = {}) => ({
	id,
	type: 'switch_completed',
	kind: 'switch' as const,
	severity: 'info' as const,
	client_id: 'c-1',
	agent_id: 'a-1',
	instance_id: 'i-1',
	message: `web-${id} moved`,
	metadata: null,
	timestamp: '2026-11-23T11:59:30.000Z',
	...over,
});

const stream = async function* (...events: StreamEvent[]): AsyncGenerator<StreamEvent> {
	yield* events;
};

const file = async function* (...chunks: (string | Error)[]): AsyncGenerator<string> {
	for (const chunk of chunks) {
		if (chunk instanceof Error) throw chunk;
		yield chunk;
	}
};

describe('events', () => {
	it('are listed newest first, with what was asked for', async () => {
		const ran = await cli('events --agent a-1 --severity info --limit 2 -o json', {
			script: { listEvents: () => ({ items: [row(2), row(1)], nextCursor: null }) },
		});
		expect([ran.code, JSON.parse(ran.out)]).toEqual([0, [row(2), row(1)]]);
		expect(ran.calls).toEqual([{ name: 'listEvents', input: { limit: 2, agent_id: 'a-1', severity: 'info' } }]);
	});

	it('that are followed come one a line, go on after a break where they were, each once, until interrupted', async () => {
		const stop = new AbortController();
		const asked: unknown[] = [];
		const ran = await cli('events --follow -o jsonl', {
			clock: stillClock(),
			signal: stop.signal,
			script: {
				streamEvents: (input) => {
					asked.push(input);
					if (asked.length === 2) throw new SpotError('unavailable', 'DAEMON_UNREACHABLE', 'no daemon answers at http://x');
					if (asked.length > 3) stop.abort();
					const heard: StreamEvent[] = [
						{ event: 'connected', id: '1', data: { status: 'connected' } },
						{ event: 'switch_completed', id: '2', data: row(2) },
						{ event: 'heartbeat', id: '3', data: {} },
						{ event: 'gap', id: null, data: { reason: 'pruned', message: 'events were deleted' } },
						{ event: 'switch_completed', id: `${asked.length + 3}`, data: row(asked.length + 3) },
					];
					return stream(...heard);
				},
			},
		});
		expect(ran.code).toBe(130);
		expect(
			ran.out
				.trim()
				.split('\n')
				.map((line) => (JSON.parse(line) as { id: number }).id),
		).toEqual([2, 4, 6, 7]);
		expect(asked).toEqual([{}, { last_event_id: '4' }, { last_event_id: '4' }, { last_event_id: '6' }]);
		expect(ran.err).toContain('no daemon answers at http://x; trying again\nthe daemon answers again\n');
		expect(ran.err).toContain('events may be missing here: events were deleted');
	});

	it('that are followed cannot be searched', async () => {
		expect((await cli('events --follow --since 2021-03-04', { script: {} })).code).toBe(2);
	});
});

describe('export', () => {
	const script = (...chunks: (string | Error)[]) => ({
		listClients: () => ({ items: [{ id: 'c-1', name: 'acme' }] as never, nextCursor: null }),
		exportSwitches: () => ({ fileName: 'x.csv', chunks: file(...chunks) }),
		exportStats: () => ({ fileName: 'y.csv', chunks: file(...chunks) }),
	});

	it('writes what the daemon sends to stdout, as it is', async () => {
		const ran = await cli('export switches --client acme', { script: script('a,b\r\n', '1,2\r\n') });
		expect([ran.code, ran.out]).toEqual([0, 'a,b\r\n1,2\r\n']);
		expect(ran.calls.at(-1)).toEqual({ name: 'exportSwitches', input: { client_id: 'c-1' } });
		expect((await cli('export stats', { script: script('a\r\n') })).out).toBe('a\r\n');
	});

	it('writes a file as a whole or not at all, and leaves nothing behind', async () => {
		const cwd = temporaryFolder('export');
		const good = await cli('export stats --out out.csv', { cwd, script: script('a\r\n', '1\r\n') });
		expect([good.code, good.out, readFileSync(join(cwd, 'out.csv'), 'utf8')]).toEqual([0, '', 'a\r\n1\r\n']);
		const lost = new SpotError('unavailable', 'CONNECTION_LOST', 'the connection broke');
		const bad = await cli('export stats --out out.csv', { cwd, script: script('b\r\n', lost) });
		expect([bad.code, readFileSync(join(cwd, 'out.csv'), 'utf8')]).toEqual([7, 'a\r\n1\r\n']);
		expect(readdirSync(cwd)).toEqual(['out.csv']);
		const nowhere = await cli('export stats --out no/folder/out.csv', { cwd, script: script('a\r\n') });
		expect([nowhere.code, existsSync(join(cwd, 'no'))]).toEqual([2, false]);
	});
});
