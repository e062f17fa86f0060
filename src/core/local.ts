import type { Config } from '../config/schema.ts';
import { type Api, type Name, operations } from '../contract/index.ts';
import { checkInput } from '../contract/invalid-input.ts';
import type { Operation } from '../contract/operation.ts';
import type { Clock, Ids } from '../deps.ts';
import { SpotError } from '../errors.ts';
import { refuse, schemaState } from '../store/migrate.ts';
import { openStore } from '../store/open.ts';
import { type Caller, checkAccess } from './caller.ts';
import { coreSettings } from './core-settings.ts';
import { createCore } from './create-core.ts';
import { missingFile } from './database.ts';
import { atOpening } from './opening.ts';
import type { PostWebhook } from './webhook-post.ts';

const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };

/**
 * The same handlers as the daemon's, in this process, on the configured database, as caller `local:<user>`: for the first token and
 * for a daemon that does not run. Errors: those of the handlers; DATABASE_MISSING (no file is made), SCHEMA_OLDER, SCHEMA_NEWER, DATABASE_UNAVAILABLE; DAEMON_ONLY for what
 * only a daemon can say about itself.
 */
export const localApi = async (deps: {
	readonly config: Config;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly user: string;
	readonly postWebhook?: PostWebhook;
}): Promise<{
	readonly api: Api;
	close(): Promise<void>;
}> => {
	const file = missingFile(deps.config.database.url);
	if (file !== undefined) {
		throw new SpotError('missing', 'DATABASE_MISSING', `there is no database "${file}"`, {
			hint: 'start the daemon, which makes it: spotctl serve   (or: spotctl db migrate)',
		});
	}
	const store = await openStore({ url: deps.config.database.url, poolSize: 2, clock: deps.clock });
	try {
		refuse(await schemaState(store), 'use');
	} catch (error) {
		await store.close();
		throw atOpening(store, deps.config.database.url, error);
	}
	const core = createCore({
		store,
		clock: deps.clock,
		ids: deps.ids,
		settings: coreSettings(deps.config),
		log: QUIET,
		...(deps.postWebhook === undefined ? {} : { postWebhook: deps.postWebhook }),
	});
	const caller: Caller = {
		principal: { kind: 'local', name: deps.user },
		requestId: deps.ids.uuid(),
		idempotencyKey: null,
		gone: () => false,
	};
	const handlers = core.handlers as unknown as Record<string, (input: unknown, caller: Caller) => unknown>;
	const call = (name: string, operation: Operation) => async (input: unknown) => {
		const handler = handlers[name];
		if (operation.daemonOnly || handler === undefined) {
			throw new SpotError('invalid', 'DAEMON_ONLY', 'only a running daemon can answer this', {
				hint: 'leave --local out; start one: spotctl serve',
			});
		}
		checkAccess(operation, caller.principal);
		try {
			return await handler(checkInput(operation.input, input), caller);
		} catch (error) {
			const explained = core.explain(error);
			const out = explained instanceof SpotError && explained.code === 'DATABASE_UNAVAILABLE';
			throw out ? atOpening(store, deps.config.database.url, explained) : explained;
		}
	};
	const api = Object.fromEntries(
		(Object.keys(operations) as Name[]).map((name) => [name, call(name, operations[name] as unknown as Operation)]),
	);
	return {
		api: api as unknown as Api,
		close: async () => {
			await core.stop();
			await store.close();
		},
	};
};
