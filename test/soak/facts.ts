import { sql } from 'kysely';
import type { RequestEvent } from '../../src/fleet/fleet.ts';
import type { Db } from '../../src/store/statement.ts';
import { bodyOf, handleIn, isAnswered, listOf } from './witness.ts';

/** Everything somebody got a 2xx for, to be found in the database afterwards. */
export type Facts = {
	hear(event: RequestEvent): void;
	/** The operator was given this command. */
	queued(commandId: string): void;
	/** The operator was told that this version of an agent's settings holds. */
	configured(agentId: string, version: number): void;
	/** What was answered and is not there: of everything, or only of what came since the last call. */
	missing(db: Db, all: boolean): Promise<string[]>;
	/** What was done though nobody heard of it: its answer was lost. */
	unheard(db: Db): Promise<Record<string, number>>;
	/** How many answers of each kind were taken note of. */
	counts(): Record<string, number>;
};

type Registration = { readonly instanceId: string; readonly handle: string };
type Report = { readonly instanceId: string; readonly newId: string; readonly switchId: string | null; readonly action: string };
type Ended = { readonly instanceId: string; readonly success: boolean };

/** A list that remembers how far it was looked through. */
const ledger = <T>() => {
	const entries: T[] = [];
	let done = 0;
	return {
		add: (entry: T): void => void entries.push(entry),
		take: (all: boolean): T[] => {
			const from = all ? 0 : done;
			done = entries.length;
			return entries.slice(from);
		},
		all: (): readonly T[] => entries,
		get size() {
			return entries.length;
		},
	};
};

const CHUNK = 400;

/** Rows by key for many keys, without a statement of ten thousand parameters. */
const byKey = async <R>(
	keys: readonly string[],
	read: (chunk: string[]) => Promise<R[]>,
	keyOf: (row: R) => string,
): Promise<Map<string, R>> => {
	const unique = [...new Set(keys)];
	const rows = new Map<string, R>();
	for (let index = 0; index < unique.length; index += CHUNK) {
		for (const row of await read(unique.slice(index, index + CHUNK))) rows.set(keyOf(row), row);
	}
	return rows;
};

export const createFacts = (): Facts => {
	const registrations = ledger<Registration>();
	const commands = ledger<string>();
	const claims = ledger<{ commandId: string; handle: string }>();
	const reports = ledger<Report>();
	const acknowledged = ledger<string>();
	const ended = ledger<Ended>();
	const settings = new Map<string, number>();
	const cleanups = new Map<string, number>();
	const prices = new Map<string, { answered: number; unanswered: number }>();
	let configured = 0;
	let priceReports = 0;

	const heardPrices = (event: RequestEvent): void => {
		const handle = handleIn(event.path);
		const of = prices.get(handle) ?? { answered: 0, unanswered: 0 };
		prices.set(handle, of);
		const sent = event.sent ?? {};
		const pools = listOf(sent['spot_pools'] ?? (sent['pricing'] as Record<string, unknown> | undefined)?.['spot_pools']).length;
		if (!isAnswered(event)) {
			of.unanswered += pools;
			return;
		}
		priceReports++;
		const body = bodyOf(event);
		of.answered += Number(body['records_inserted'] ?? body['prices_stored']);
	};

	const hear = (event: RequestEvent): void => {
		const { route, instanceId } = event;
		if (route.endsWith('/pricing-report') || route.endsWith('/decide')) heardPrices(event);
		if (!isAnswered(event)) return;
		const sent = event.sent ?? {};
		if (route === '/api/agents/register') registrations.add({ instanceId, handle: String(bodyOf(event)['agent_id']) });
		else if (route.endsWith('/pending-commands')) {
			for (const { id } of listOf(bodyOf(event)['commands'])) claims.add({ commandId: String(id), handle: handleIn(event.path) });
		} else if (route.endsWith('/switch-report')) {
			const { switch_id, action } = bodyOf(event);
			const newId = String((sent['new_instance'] as Record<string, unknown> | undefined)?.['instance_id']);
			reports.add({ instanceId, newId, switchId: typeof switch_id === 'string' ? switch_id : null, action: String(action) });
		} else if (route.endsWith('/executed')) acknowledged.add(/\/commands\/([^/]+)\//.exec(event.path)?.[1] ?? '');
		else if (route.endsWith('/mark-command-executed')) acknowledged.add(String(sent['command_id']));
		else if (route.endsWith('/termination-report'))
			ended.add({ instanceId: String(sent['instance_id']), success: sent['success'] === true });
		else if (route.endsWith('/cleanup-report')) cleanups.set(handleIn(event.path), (cleanups.get(handleIn(event.path)) ?? 0) + 1);
	};

	const missing = async (db: Db, all: boolean): Promise<string[]> => {
		const found: string[] = [];
		const [newHosts, newCommands, newClaims] = [registrations.take(all), commands.take(all), claims.take(all)];
		const [newReports, newAcks, newEnds] = [reports.take(all), acknowledged.take(all), ended.take(all)];

		const hosts = await byKey(
			[...newHosts.map((one) => one.instanceId), ...newReports.map((one) => one.newId), ...newEnds.map((one) => one.instanceId)],
			(keys) =>
				db
					.selectFrom('host')
					.select(['instance_id', 'handle', 'role', 'termination_attempted_at'])
					.where('instance_id', 'in', keys)
					.execute(),
			(row) => row.instance_id,
		);
		for (const { instanceId, handle } of newHosts) {
			const row = hosts.get(instanceId);
			if (row?.handle !== handle)
				found.push(`${instanceId} was registered as ${handle}; the database has ${row?.handle ?? 'no such machine'}`);
		}
		for (const { instanceId, success } of newEnds) {
			const row = hosts.get(instanceId);
			if (row === undefined || (success ? row.role !== 'terminated' : row.termination_attempted_at === null && row.role !== 'terminated'))
				found.push(`the end of ${instanceId} was reported (success ${success}); it is ${row?.role ?? 'unknown'}`);
		}

		const orders = await byKey(
			[...newCommands, ...newClaims.map((one) => one.commandId), ...newAcks],
			(keys) =>
				db.selectFrom('command').select(['id', 'handle', 'status', 'claimed_at', 'acknowledged_at']).where('id', 'in', keys).execute(),
			(row) => row.id,
		);
		for (const id of newCommands) if (!orders.has(id)) found.push(`command ${id} was queued and is not in the database`);
		for (const { commandId, handle } of newClaims) {
			const row = orders.get(commandId);
			if (row === undefined || row.claimed_at === null || row.status === 'pending' || row.handle !== handle)
				found.push(`command ${commandId} was handed to ${handle}; the database has ${JSON.stringify(row ?? null)}`);
		}
		for (const id of newAcks)
			if ((orders.get(id)?.acknowledged_at ?? null) === null) found.push(`the acknowledgement of command ${id} is not in the database`);

		const switches = await byKey(
			newReports.flatMap((one) => one.switchId ?? []),
			(keys) => db.selectFrom('switch_record').select(['id', 'new_instance_id', 'evidence']).where('id', 'in', keys).execute(),
			(row) => row.id,
		);
		for (const { instanceId, newId, switchId, action } of newReports) {
			if (action !== 'conflict' && action !== 'none' && !hosts.has(newId))
				found.push(`${instanceId} reported ${newId} (${action}), which is no host`);
			if (switchId !== null && switches.get(switchId)?.new_instance_id !== newId)
				found.push(
					`switch ${switchId} to ${newId} was recorded (${action}); the database has ${JSON.stringify(switches.get(switchId) ?? null)}`,
				);
		}

		const rowsOf = new Map<string, number>();
		for (const { handle, points } of await db.selectFrom('price_report').select(['handle', 'points']).execute())
			rowsOf.set(handle, (rowsOf.get(handle) ?? 0) + Object.keys(JSON.parse(points) as object).length);
		for (const [handle, { answered, unanswered }] of prices) {
			const rows = rowsOf.get(handle) ?? 0;
			if (rows < answered || rows > answered + unanswered)
				found.push(`${answered} prices of ${handle} were accepted and ${unanswered} sent without an answer; ${rows} are stored`);
		}

		const logged = await db
			.selectFrom('cleanup_log')
			.select(['handle', sql<number | string>`count(*)`.as('rows')])
			.groupBy('handle')
			.execute();
		const cleanupsOf = new Map(logged.map((row) => [row.handle, Number(row.rows)]));
		for (const [handle, count] of cleanups) {
			if ((cleanupsOf.get(handle) ?? 0) < count)
				found.push(`${count} cleanup reports of ${handle} were accepted, ${cleanupsOf.get(handle) ?? 0} are stored`);
		}

		const versions = await db.selectFrom('agent').select(['id', 'config_version']).execute();
		const versionOf = new Map(versions.map((row) => [row.id, row.config_version]));
		for (const [id, version] of settings) {
			if ((versionOf.get(id) ?? 0) < version)
				found.push(`settings ${version} of agent ${id} were accepted; the database has ${versionOf.get(id)}`);
		}
		return found;
	};

	const unheard = async (db: Db): Promise<Record<string, number>> => {
		const heard = {
			machines: new Set(registrations.all().map(({ instanceId }) => instanceId)),
			queued: new Set(commands.all()),
			claimed: new Set(claims.all().map(({ commandId }) => commandId)),
			acknowledged: new Set(acknowledged.all()),
			reported: new Set(reports.all().map(({ newId }) => newId)),
		};
		const hosts = await db.selectFrom('host').select('instance_id').where('registered_at', 'is not', null).execute();
		const orders = await db
			.selectFrom('command')
			.select(['id', 'claimed_at', 'acknowledged_at', 'reported_at', 'new_instance_id'])
			.execute();
		const switches = await db.selectFrom('switch_record').select('new_instance_id').where('evidence', '=', 'report').execute();
		return {
			registrations: hosts.filter(({ instance_id }) => !heard.machines.has(instance_id)).length,
			'force-switch': orders.filter(({ id }) => !heard.queued.has(id)).length,
			claims: orders.filter(({ id, claimed_at }) => claimed_at !== null && !heard.claimed.has(id)).length,
			'switch reports': switches.filter(({ new_instance_id }) => !heard.reported.has(new_instance_id ?? '')).length,
			acknowledgements: orders.filter(({ id, acknowledged_at }) => acknowledged_at !== null && !heard.acknowledged.has(id)).length,
		};
	};

	return {
		hear,
		missing,
		unheard,
		queued: (commandId) => commands.add(commandId),
		configured: (agentId, version) => {
			configured++;
			settings.set(agentId, Math.max(version, settings.get(agentId) ?? 0));
		},
		counts: () => ({
			registrations: registrations.size,
			'force-switch': commands.size,
			claims: claims.size,
			'switch reports': reports.size,
			acknowledgements: acknowledged.size,
			'termination reports': ended.size,
			'price reports': priceReports,
			'cleanup reports': [...cleanups.values()].reduce((sum, count) => sum + count, 0),
			'settings changes': configured,
		}),
	};
};
