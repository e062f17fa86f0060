import { createServer } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Config } from '../src/config/schema.ts';
import { adminTokenWeakness } from '../src/config/secrets.ts';
import { iso } from '../src/contract/instant.ts';
import { coreSettings } from '../src/core/core-settings.ts';
import type { Core, CoreDeps } from '../src/core/index.ts';
import { atOpening } from '../src/core/opening.ts';
import type { Clock, Ids } from '../src/deps.ts';
import { SpotError } from '../src/errors.ts';
import type { Log } from '../src/log.ts';
import { createMetrics } from '../src/metrics.ts';
import { migrate, refuse, schemaState } from '../src/store/migrate.ts';
import { openStore, type Store } from '../src/store/open.ts';
import { createPostWebhook } from '../src/webhook-http.ts';
import { createApp } from './app.ts';
import { openWarning } from './open-dashboard.ts';
import { makeStateDir, readAdminToken, removeDaemonRecord, writeAdminToken, writeDaemonRecord } from './state.ts';
import { createSystemHandlers } from './system.ts';

/** What the core gives to whoever starts it. */
export type CoreParts = {
	createCore(deps: CoreDeps): Core;
	/**
	 * Sees to it that somebody can act as admin: registers `existing` (what the file of an earlier start holds) unless it is known, or
	 * makes a token when the database has no live one. Null when neither is needed or allowed.
	 */
	ensureAdminToken(deps: CoreDeps, existing: string | null): Promise<{ readonly token: string; readonly created: boolean } | null>;
};

export type DaemonOptions = {
	readonly config: Config;
	readonly version: string;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly log: Log;
	readonly parts: CoreParts;
};

/** Where the admin token is: in the file of the state folder, in the configuration, or only in the hands of whoever made one. */
export type AdminAccess =
	| { readonly kind: 'file'; readonly created: string | null }
	| { readonly kind: 'configured' }
	| { readonly kind: 'elsewhere' };

/** A daemon that answers requests. */
export type Daemon = {
	readonly url: string;
	readonly admin: AdminAccess;
	readonly store: Store;
	readonly core: Core;
	/** Stops accepting, finishes what runs (at most `server.drainTimeout`), writes what is buffered, closes the database. */
	stop(): Promise<void>;
};

/** Whether an address is reachable from this machine only. */
export const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);

const prepareSchema = async (store: Store, allowed: boolean, log: Log): Promise<void> => {
	await store.ping();
	if (!allowed) {
		refuse(await schemaState(store), 'use');
		return;
	}
	const steps = await migrate(store);
	if (steps.length > 0) log.info({ steps: steps.length, last: steps.at(-1) }, 'database schema brought up to date');
};

type First = <T>(step: Promise<T>) => Promise<T>;

const prepareAdmin = async ({ config, parts, log }: DaemonOptions, deps: CoreDeps, first: First): Promise<AdminAccess> => {
	if (config.security.adminToken !== undefined) return { kind: 'configured' };
	const found = readAdminToken(config.stateDir);
	if (found?.wasOpen === true) log.warn({}, 'the file with the admin token could be read by others; its mode is 0600 now');
	const usable = found !== null && adminTokenWeakness(found.token) === undefined;
	const ensured = await first(parts.ensureAdminToken(deps, usable ? found.token : null));
	if (ensured === null) return { kind: 'elsewhere' };
	if (ensured.created) writeAdminToken(config.stateDir, ensured.token);
	return { kind: 'file', created: ensured.created ? ensured.token : null };
};

const LISTEN_PROBLEMS: Readonly<Record<string, string>> = {
	EADDRINUSE: 'is in use',
	EACCES: 'may not be used by this user',
	EADDRNOTAVAIL: 'is no address of this machine',
	ENOTFOUND: 'is no host that can be found',
};

const numeric = (host: string): string => (host === 'localhost' ? '127.0.0.1' : host);

const listenProblem = (error: unknown, host: string, port: number): unknown => {
	const code = String((error as { code?: unknown }).code);
	const reason = LISTEN_PROBLEMS[code];
	if (reason === undefined) return error;
	const hint = code === 'EADDRINUSE' ? `is a daemon running already? else: spotctl serve --port ${port + 1}` : 'see: spotctl serve --help';
	return new SpotError('conflict', 'ADDRESS_UNAVAILABLE', `cannot listen: ${host}:${port} ${reason}`, { hint, cause: error });
};

/** Tries the address and lets go of it: whoever may not have it must find out before anything was done to the database. */
const checkAddress = (host: string, port: number): Promise<void> =>
	new Promise((accept, reject) => {
		const probe = createServer();
		probe.once('error', (error) => reject(listenProblem(error, host, port)));
		probe.listen({ host: numeric(host), port }, () => probe.close(() => accept()));
	});

const listen = async (app: FastifyInstance, host: string, port: number): Promise<string> => {
	try {
		// With Node's backlog of 511, simultaneous notices of 2,000 hosts take twice as long (../shared/performance.md).
		await app.listen({ host: numeric(host), port, backlog: 4096 });
	} catch (error) {
		throw listenProblem(error, host, port);
	}
	const bound = app.server.address();
	if (bound === null || typeof bound === 'string') return `http://${host}:${port}`;
	const name = bound.address === '0.0.0.0' ? '127.0.0.1' : bound.address === '::' ? '::1' : bound.address;
	return `http://${name.includes(':') ? `[${name}]` : name}:${bound.port}`;
};

const IDLE_MS = 50;

/** Closes the listener, lets requests finish within the budget, then cuts what is left. */
const drain = async (app: FastifyInstance, clock: Clock, budget: number, log: Log): Promise<void> => {
	const finished = new AbortController();
	// Node closes the connections that are idle now; those that become idle later stay until their keep-alive ends, unless somebody asks again.
	const stopAsking = clock.every(IDLE_MS, () => app.server.closeIdleConnections());
	const closing = app.close().finally(() => finished.abort());
	const late = await Promise.race([
		closing.then(() => false),
		clock.sleep(budget, finished.signal).then(
			() => true,
			() => false,
		),
	]);
	stopAsking();
	if (late) {
		log.warn({ budget_ms: budget }, 'requests still run after the drain timeout; they are cut off');
		app.server.closeAllConnections();
	}
	await closing;
};

/** Starts the daemon: database, schema, core, admin token, HTTP. Whatever fails, what was opened is closed again. */
export const startDaemon = async (options: DaemonOptions): Promise<Daemon> => {
	const { config, version, clock, ids, log, parts } = options;
	const undo: (() => void | Promise<void>)[] = [];
	const unwind = async (): Promise<void> => {
		for (let step = undo.pop(); step !== undefined; step = undo.pop()) {
			try {
				await step();
			} catch (error) {
				log.error({ err: error }, 'a step of stopping failed');
			}
		}
	};

	try {
		makeStateDir(config.stateDir);
		const { url } = config.database;
		const sqlite = url.startsWith('sqlite:');
		if (sqlite) undo.push((await import('../src/store/sqlite.ts')).holdForDaemon(url));
		await checkAddress(config.server.host, config.server.port);
		const store = await openStore({ url, poolSize: config.database.poolSize, clock, tell: (trouble) => log.warn({}, trouble) });
		undo.push(() => store.close());
		const first: First = (step) =>
			step.catch((error: unknown) => {
				throw atOpening(store, url, error);
			});
		await first(prepareSchema(store, sqlite || config.database.migrate, log));

		const deps: CoreDeps = { store, clock, ids, settings: coreSettings(config), log, postWebhook: createPostWebhook(clock) };
		const admin = await prepareAdmin(options, deps, first);
		const core = parts.createCore(deps);
		const metrics = createMetrics(version);
		metrics.read(() => core.counters(), core.figures);
		let draining = false;
		const daemonHandlers = createSystemHandlers({
			store,
			core,
			clock,
			metrics,
			version,
			environment: config.server.environment,
			isDraining: () => draining,
		});
		const settings = { ...config.server, failedAuthPerMinute: config.security.failedAuthPerMinute };
		const app = createApp({ core, settings, log, metrics, clock, ids, daemonHandlers });
		undo.push(() => core.stop());
		await first(core.start({ jobs: config.jobs.enabled, alone: sqlite }));
		undo.push(() => drain(app, clock, config.server.drainTimeout, log));
		const address = await listen(app, config.server.host, config.server.port);

		const record = { url: address, pid: process.pid, version, startedAt: iso(clock.now()), adminToken: admin.kind };
		writeDaemonRecord(config.stateDir, record);
		undo.unshift(() => removeDaemonRecord(config.stateDir, record));
		log.info({ url: address, version, database: store.dialect.name, environment: config.server.environment }, 'listening');
		const open = openWarning(config.server.openDashboard);
		if (open !== null) log.warn({ host: config.server.host, origins: config.server.corsOrigins }, open);
		if (!isLoopback(config.server.host)) {
			log.warn(
				{ host: config.server.host },
				'listening beyond this machine without TLS: tokens travel in the clear unless a proxy in front does TLS',
			);
		}

		let stopping: Promise<void> | null = null;
		const stop = (): Promise<void> => {
			draining = true;
			stopping ??= unwind();
			return stopping;
		};
		return { url: address, admin, store, core, stop };
	} catch (error) {
		await unwind();
		throw error;
	}
};
