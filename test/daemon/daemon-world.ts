import { join } from 'node:path';
import { afterEach } from 'vitest';
import { type CoreParts, type Daemon, startDaemon } from '../../daemon/daemon.ts';
import { type LoadInput, loadConfig, type PartialSettings } from '../../src/config/load.ts';
import { type Name, operations } from '../../src/contract/index.ts';
import type { Core } from '../../src/core/index.ts';
import { systemClock, systemIds } from '../../src/deps.ts';
import { SpotError } from '../../src/errors.ts';
import { openLog } from '../../src/log.ts';
import { temporaryFolder } from '../helpers/folders.ts';
import { collector } from './world.ts';

export const ADMIN = 'spa_q8Zr1mVtX7nYc4KpW2sLd9Ge';

export type FakeParts = CoreParts & {
	readonly events: string[];
	/** What the file of an earlier start held, at each start. */
	readonly existing: (string | null)[];
	/** What `ensureAdminToken` answers for a given existing token. */
	admin: (existing: string | null) => { token: string; created: boolean } | null;
	handler: (name: Name, input: unknown) => unknown;
};

/** A core that does nothing but say when it was used. */
export const fakeParts = (): FakeParts => {
	const parts: FakeParts = {
		events: [],
		existing: [],
		admin: (existing) => (existing === null ? { token: ADMIN, created: true } : { token: existing, created: false }),
		handler: () => ({ success: true }),
		ensureAdminToken: async (_, existing) => {
			parts.existing.push(existing);
			return parts.admin(existing);
		},
		createCore: ({ store, clock }) => ({
			handlers: Object.fromEntries(
				Object.keys(operations).map((name) => [name, (input: unknown) => parts.handler(name as Name, input)]),
			) as unknown as Core['handlers'],
			authenticate: (token) => {
				if (token === ADMIN) return { kind: 'admin', scope: 'admin', tokenId: 'x', name: 'first' };
				throw new SpotError('unauthenticated', 'INVALID_TOKEN', 'Invalid client token');
			},
			explain: (error) => error,
			onAccessChange: () => undefined,
			start: async ({ jobs }) => void parts.events.push(`start jobs=${jobs}`),
			stop: async () => {
				await store.ping();
				parts.events.push('stop');
			},
			counters: () => new Map([['agent_heartbeat_received_total', 3]]),
			figures: [],
			lastFreshAt: () => clock.now(),
		}),
	};
	return parts;
};

const running: Daemon[] = [];

afterEach(async () => {
	for (const daemon of running.splice(0)) await daemon.stop();
});

export const emptyFolder = (): string => temporaryFolder('daemon');

/** The configuration of a daemon on a free port whose state is in a folder of its own. */
export const loadInput = (stateDir: string, flags: PartialSettings = {}): LoadInput => ({
	flags: { stateDir, 'server.port': 0, ...flags },
	env: {},
	cwd: stateDir,
	home: stateDir,
	systemFile: join(stateDir, 'none.yaml'),
});

/** Starts a daemon over the fake core; the test's end stops it. */
export const start = async (stateDir: string, { flags = {}, parts = fakeParts() }: { flags?: PartialSettings; parts?: FakeParts } = {}) => {
	const { config } = await loadConfig(loadInput(stateDir, flags));
	const out = collector();
	const { log } = await openLog({ level: 'info', format: 'json', stream: out.stream, now: systemClock.now });
	const daemon = await startDaemon({ config, version: '1.2.3', clock: systemClock, ids: systemIds, log, parts });
	running.push(daemon);
	const get = async (path: string, init: RequestInit = {}) => {
		const response = await fetch(`${daemon.url}${path}`, init);
		const text = await response.text();
		const body = response.headers.get('content-type')?.startsWith('application/json') ? (JSON.parse(text) as Record<string, unknown>) : {};
		return { status: response.status, headers: response.headers, text, body };
	};
	return { daemon, parts, get, log: out.text };
};
