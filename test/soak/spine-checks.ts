import type { RequestEvent } from '../../src/fleet/fleet.ts';
import type { HostTable, SwitchTable } from '../../src/store/schema.ts';
import { type Books, type CommandBook, primaries, readBooks } from './books.ts';
import { type Job, keepsBySetting } from './spine-jobs.ts';
import type { SpineWorld } from './spine-world.ts';
import { bodyOf, isAnswered, listOf, type Witness } from './witness.ts';

const BUCKET = 5 * 60_000;

const micros = (usd: unknown): number => Math.round(Number(usd) * 1_000_000);

/** What the agents reported of prices, to be found in the books. */
export const createPriceWitness = () => {
	let raw = 0;
	/** By pool and bucket, the prices of primaries in it in the order of their arrival. */
	const clean = new Map<string, number[]>();
	return {
		hear: (event: RequestEvent): void => {
			const isReport = event.route.endsWith('/pricing-report');
			if (!isAnswered(event) || !(isReport || event.route.endsWith('/decide'))) return;
			const body = bodyOf(event);
			raw += Number(isReport ? body['records_inserted'] : body['prices_stored']);
			const sent = event.sent ?? {};
			for (const pool of listOf(sent['spot_pools'] ?? (sent['pricing'] as Record<string, unknown> | undefined)?.['spot_pools'])) {
				const key = `${String(pool['pool_id'])} ${Math.floor(event.at / BUCKET) * BUCKET}`;
				clean.set(key, [...(clean.get(key) ?? []), micros(pool['price'])]);
			}
		},
		compare: async ({ eyes }: SpineWorld): Promise<string[]> => {
			const found: string[] = [];
			const reports = await eyes.db.selectFrom('price_report').select('points').execute();
			const stored = reports.flatMap(({ points }) => Object.keys(JSON.parse(points) as object)).length;
			if (stored !== raw) found.push(`${raw} raw prices were accepted, ${stored} are stored`);
			const buckets = await eyes.db.selectFrom('price_clean').select(['pool_id', 'bucket', 'spot_micros']).execute();
			if (buckets.length !== clean.size) found.push(`${clean.size} clean prices were to be expected, ${buckets.length} are stored`);
			for (const { pool_id, bucket, spot_micros } of buckets) {
				if (!clean.get(`${pool_id} ${bucket}`)?.includes(spot_micros))
					found.push(`the clean price ${spot_micros} of ${pool_id} at ${new Date(bucket).toISOString()} is what nobody reported`);
			}
			return found;
		},
		counts: () => ({ raw, clean: clean.size }),
	};
};

/** Switch reports that were answered, by the machine that sent them. */
export const createReportWitness = () => {
	const reports = new Map<string, Record<string, unknown>>();
	return {
		hear: (event: RequestEvent): void => {
			if (isAnswered(event) && event.route.endsWith('/switch-report')) reports.set(event.instanceId, event.sent ?? {});
		},
		of: (instanceId: string) => reports.get(instanceId),
		get size() {
			return reports.size;
		},
	};
};

type Reports = ReturnType<typeof createReportWitness>;

const object = (value: unknown): Record<string, unknown> =>
	typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

/** How a job's order must have ended. */
const outcomeOf = (job: Job, command: CommandBook | undefined, reports: Reports): string[] => {
	const end = command === undefined ? 'nowhere' : `${command.status}/${command.outcome}`;
	const reported = reports.of(job.oldId) !== undefined && job.kind !== 'no capacity' && job.kind !== 'dying';
	const allowed =
		job.kind === 'no capacity'
			? [job.logicalId.startsWith('classic-') ? 'failed/failed' : 'failed/unconfirmed']
			: // Whichever proves it first: the new machine's registration, or the old one's report.
				reported
				? ['completed/registration', 'completed/report']
				: ['completed/registration'];
	const found = allowed.includes(end)
		? []
		: [`the ${job.kind} switch of ${job.logicalId} (${job.commandId}) ended as ${end}, not ${allowed.join(' or ')}`];
	if (command !== undefined && command.new_instance_id !== job.newId)
		found.push(`${job.logicalId}: the order names ${command.new_instance_id}, and EC2 launched ${job.newId}`);
	return found;
};

/** The switch history row of a job, against what EC2 did and the agent reported. */
const recordOf = (world: SpineWorld, job: Job, command: CommandBook, record: SwitchTable, reports: Reports): string[] => {
	const found: string[] = [];
	const expect = (what: string, is: unknown, wanted: unknown): void => {
		if (is !== wanted) found.push(`${job.logicalId}: the switch history says ${what} ${String(is)}, not ${String(wanted)}`);
	};
	const fresh = world.ec2.describe(job.newId ?? '');
	const old = world.ec2.describe(job.oldId);
	expect('old machine', record.old_instance_id, job.oldId);
	expect('new machine', record.new_instance_id, job.newId);
	expect('trigger', record.trigger_type, 'manual');
	expect('old mode', record.old_mode, old.mode);
	expect('new mode', record.new_mode, fresh.mode);
	expect('new mode ordered', record.new_mode, command.target_mode);
	expect('new pool', record.new_pool_id, job.pool);
	if (job.pool !== null && job.pool !== `${fresh.instanceType}.${fresh.az}`)
		found.push(`${job.logicalId} was launched in ${fresh.az} for ${job.pool}`);
	const report = reports.of(job.oldId);
	if (report === undefined) {
		expect('evidence', record.evidence, 'registration');
		return found;
	}
	const prices = object(report['prices']);
	expect('evidence', record.evidence, 'report');
	expect('on-demand price', record.ondemand_micros, micros(prices['on_demand']));
	if (old.mode === 'spot') expect('old price', record.old_spot_micros, micros(prices['old_spot']));
	if (fresh.mode === 'spot') expect('new price', record.new_spot_micros, micros(prices['new_spot']));
	const before = old.mode === 'spot' ? record.old_spot_micros : record.ondemand_micros;
	const after = fresh.mode === 'spot' ? record.new_spot_micros : record.ondemand_micros;
	expect('impact', record.impact_micros, Number(before) - Number(after));
	if (record.initiated_at === null || record.ready_at === null || record.traffic_at === null || record.duration_ms === null)
		found.push(`${job.logicalId}: the switch history has no times though they were reported`);
	const ended = object(report['timing'])['old_instance_terminated_at'];
	if ((record.old_terminated_at === null) !== (ended === undefined || ended === null))
		found.push(
			`${job.logicalId}: the end of the old machine was reported as ${String(ended)}, the history says ${record.old_terminated_at}`,
		);
	return found;
};

/** What became of a job's old machine, in EC2 and in the books. */
const oldMachine = (world: SpineWorld, job: Job, row: HostTable | undefined, primary: string | undefined): string[] => {
	const { state } = world.ec2.describe(job.oldId);
	if (row === undefined) return [`${job.oldId} is in no books`];
	const is = `${job.oldId} (${job.logicalId}, ${job.kind}) is ${row.role}${row.hold === 1 ? ' on hold' : ''} and ${state} in EC2`;
	if (job.kind === 'no capacity') return [];
	if (row.role !== 'zombie' && row.role !== 'terminated') return [is];
	if (job.kind === 'keeping') {
		// With auto-terminate on, only a hold keeps it; with auto-terminate off nothing is ever listed.
		const kept = row.role === 'zombie' && state === 'running' && (row.hold === 1) === !keepsBySetting(job.logicalId);
		return kept ? [] : [is];
	}
	if (state !== 'terminated') return [is];
	// A classic successor reads the list and says that it is gone; 3.2 reads no list, and a kept machine is on none.
	const heard = job.kind === 'terminating' && job.logicalId.startsWith('classic-') && primary !== job.oldId;
	return heard && row.role !== 'terminated' ? [is] : [];
};

/** What EC2 was asked to end, and by whom. */
const terminations = (world: SpineWorld): string[] => {
	const found: string[] = [];
	const listers = new Map<string, Set<string>>();
	for (const { instanceId, by, reason } of world.terminateCalls) {
		if (by.kind !== 'agent') continue;
		if (reason === 'own machine after switch') {
			if (by.instanceId !== instanceId) found.push(`${by.instanceId} ended ${instanceId} as its own machine`);
		} else if (reason.startsWith('terminate list:')) {
			listers.set(instanceId, (listers.get(instanceId) ?? new Set()).add(by.instanceId ?? ''));
		} else found.push(`${by.instanceId} ended ${instanceId}: ${reason}`);
	}
	for (const [instanceId, by] of listers) if (by.size > 1) found.push(`${instanceId} was ended from the list of ${[...by].join(' and ')}`);
	return found;
};

const launches = (world: SpineWorld, jobs: readonly Job[], books: Books): string[] => {
	const found: string[] = [];
	const { ledger } = world.ec2;
	const done = books.commands.filter((command) => command.status === 'completed').length;
	const launched = ledger.filter(({ kind, by }) => kind === 'launch' && by.kind === 'agent').length;
	const first = ledger.filter(({ kind, by }) => kind === 'launch' && by.kind === 'operator').length;
	const refused = ledger.filter(({ kind }) => kind === 'refused').length;
	if (launched !== done) found.push(`${done} switches succeeded and ${launched} machines were launched for them`);
	if (first !== books.agents.length) found.push(`${first} first machines and ${books.agents.length} agents`);
	const without = jobs.filter(({ kind }) => kind === 'no capacity').length;
	if (refused !== without) found.push(`${without} switches without capacity and ${refused} refused launches`);
	return found;
};

/** Everything that must be so when all is done. */
export const finalChecks = async (world: SpineWorld, jobs: readonly Job[], witness: Witness, reports: Reports): Promise<string[]> => {
	const { eyes, ec2, daemon, token } = world;
	const books = await readBooks(eyes.db);
	const commands = new Map(books.commands.map((command) => [command.id, command]));
	const hosts = new Map((await eyes.db.selectFrom('host').selectAll().execute()).map((host) => [host.instance_id, host]));
	const records = await eyes.db.selectFrom('switch_record').selectAll().execute();
	const main = primaries(books);
	const found = [...launches(world, jobs, books), ...terminations(world)];
	if (commands.size !== jobs.length) found.push(`${jobs.length} switches were forced and ${commands.size} commands are in the books`);
	if (witness.handed.length !== jobs.length)
		found.push(`${jobs.length} switches were forced and ${witness.handed.length} commands handed out`);

	const switched = new Map<string, number>();
	for (const job of jobs) {
		const command = commands.get(job.commandId);
		found.push(...outcomeOf(job, command, reports));
		const own = records.filter((record) => record.command_id === job.commandId);
		const succeeded = command?.status === 'completed';
		if (own.length !== (succeeded ? 1 : 0))
			found.push(`${job.logicalId}: ${own.length} rows of history for a command that is ${command?.status}`);
		if (succeeded) switched.set(job.agentId, (switched.get(job.agentId) ?? 0) + 1);
		if (succeeded && own[0] !== undefined) found.push(...recordOf(world, job, command, own[0], reports));
		found.push(...oldMachine(world, job, hosts.get(job.oldId), main.get(job.agentId)?.instance_id));
	}
	const stray = records.filter((record) => record.success !== 1 || !jobs.some(({ commandId }) => commandId === record.command_id));
	if (stray.length > 0) found.push(`${stray.length} rows of history belong to no forced switch: ${JSON.stringify(stray[0])}`);

	for (const agent of books.agents) {
		const host = main.get(agent.id);
		const switches = switched.get(agent.id) ?? 0;
		if (agent.generation !== switches + 1)
			found.push(`${agent.logical_agent_id} switched ${switches} times and is of generation ${agent.generation}`);
		if (agent.status !== 'online') found.push(`${agent.logical_agent_id} is ${agent.status}`);
		if (host !== undefined && ec2.describe(host.instance_id).state !== 'running')
			found.push(`the primary ${host.instance_id} does not run`);
	}
	for (const fleet of world.fleets) {
		for (const { route, outcome, count } of fleet.requests.table())
			if (typeof outcome !== 'number' || outcome < 200 || outcome > 299) found.push(`${count} times ${route} was answered ${outcome}`);
	}
	for (const [instanceId, handle] of witness.handles) {
		const { status } = await fetch(`${daemon.url}/api/agents/${handle}`, { headers: { authorization: `Bearer ${token}` } });
		if (status !== 200) found.push(`GET agent with the handle of ${instanceId} is answered ${status}`);
	}
	const events = await eyes.db.selectFrom('event').select(['type', 'metadata']).where('type', '=', 'switch_completed').execute();
	for (const job of jobs) {
		const told = events.filter(({ metadata }) => metadata?.includes(job.commandId)).length;
		if (told !== (commands.get(job.commandId)?.status === 'completed' ? 1 : 0))
			found.push(`${told} events tell of the switch ${job.commandId}`);
	}
	return found;
};
