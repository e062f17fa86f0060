import { operations } from '../src/contract/index.ts';
import { iso } from '../src/contract/instant.ts';
import { openApi } from '../src/contract/openapi.ts';
import type { Core } from '../src/core/index.ts';
import type { Clock } from '../src/deps.ts';
import type { Metrics } from '../src/metrics.ts';
import { schemaState } from '../src/store/migrate.ts';
import type { Store } from '../src/store/open.ts';
import type { DaemonHandlers } from './app.ts';
import { JSON_TYPE } from './failures.ts';
import { RawAnswer } from './route.ts';

/** What the daemon's own operations speak about. */
export type SystemDeps = {
	readonly store: Store;
	readonly core: Pick<Core, 'lastFreshAt'>;
	readonly clock: Clock;
	readonly metrics: Metrics;
	readonly version: string;
	readonly environment: string;
	isDraining(): boolean;
};

/** How long the database may take to say that it is there. */
const PATIENCE_MS = 3000;
/** How old the caches may be before a daemon should be sent no requests (they refresh several times a second). */
const STALE_MS = 10_000;
/** How long a found schema is believed; reading it takes several statements, and anybody may ask. */
const SCHEMA_MS = 10_000;

const WRITES = {
	ok: 'ok',
	locked: 'refused: another process has locked the database',
	failing: 'the last one failed: see the log of the daemon',
} as const;

const json = (status: number, body: object): RawAnswer => new RawAnswer(status, JSON_TYPE, JSON.stringify(body));

/** Runs a question one at a time: whoever asks meanwhile hears the same answer, so that no crowd of probes reaches the database. */
const shared = <T>(ask: () => Promise<T>): (() => Promise<T>) => {
	let running: Promise<T> | null = null;
	return () => {
		running ??= ask().finally(() => {
			running = null;
		});
		return running;
	};
};

/** Health, readiness, metrics and the contract itself. */
export const createSystemHandlers = ({ store, core, clock, metrics, version, environment, isDraining }: SystemDeps): DaemonHandlers => {
	const startedAt = clock.now();
	const uptime = (): number => Math.max(0, Math.floor((clock.now() - startedAt) / 1000));

	const answers = shared(async (): Promise<boolean> => {
		const given = new AbortController();
		const patience = clock.sleep(PATIENCE_MS, given.signal).then(
			() => false,
			() => false,
		);
		const ping = store.ping().then(
			() => true,
			() => false,
		);
		const answered = await Promise.race([ping, patience]);
		given.abort();
		return answered;
	});

	let schema = { problem: 'not read yet', readAt: Number.NEGATIVE_INFINITY };
	const schemaProblem = shared(async (): Promise<string> => {
		if (schema.problem !== 'ok' || clock.now() - schema.readAt >= SCHEMA_MS) {
			const { state, pending } = await schemaState(store);
			const problem =
				state === 'newer' ? 'newer than this spotctl' : pending.length > 0 ? 'older than this spotctl: run spotctl db migrate' : 'ok';
			schema = { problem, readAt: clock.now() };
		}
		return schema.problem;
	});

	let document: string | null = null;

	return {
		apiRoot: () => ({
			name: 'spotctl',
			version,
			environment,
			status: 'running',
			uptime_seconds: uptime(),
			endpoints: { health: '/health', admin: '/api/admin', client: '/api/client', agents: '/api/agents', openapi: '/openapi.json' },
		}),
		health: async () => {
			const connected = await answers();
			const rest = { timestamp: iso(clock.now()), version, uptime_seconds: uptime(), decision_engine_loaded: false };
			if (connected) return json(200, { status: 'healthy', ...rest, database: 'connected' });
			return json(503, { status: 'unhealthy', ...rest, database: 'disconnected', error: 'database does not answer' });
		},
		livez: () => ({ status: 'ok' }),
		readyz: async () => {
			const connected = await answers();
			const checks = {
				serving: isDraining() ? 'stopping' : 'ok',
				database: connected ? 'ok' : 'does not answer',
				writes: WRITES[store.writes()],
				schema: connected ? await schemaProblem().catch(() => 'cannot be read') : 'cannot be read',
				caches: clock.now() - core.lastFreshAt() <= STALE_MS ? 'ok' : 'older than 10 s',
			};
			const ready = Object.values(checks).every((check) => check === 'ok');
			return json(ready ? 200 : 503, { status: ready ? 'ok' : 'not ready', checks });
		},
		openapiDocument: () => {
			document ??= JSON.stringify(openApi(operations, version));
			return new RawAnswer(200, JSON_TYPE, document);
		},
		metrics: async () => new RawAnswer(200, metrics.contentType, await metrics.render()),
	};
};
