import type { Connection } from './connection.ts';
import { type Stretch, watchCpu } from './drive.ts';
import { type Agent, agentPath, get, poolOf, REGION, registration, request, ZONES, zoneOf } from './requests.ts';
import { nextInstanceId, openConnections, type World } from './world.ts';

/** An answer that must be a success and hold what the next step needs. */
const carry = async (connection: Connection, step: string, bytes: Buffer): Promise<Record<string, unknown>> => {
	const { status, body } = await connection.ask(bytes);
	if (status !== 200) throw new Error(`${step} answered ${status}: ${JSON.stringify(body)}`);
	return body;
};

const same = (step: string, what: unknown, wanted: unknown): void => {
	if (what !== wanted) throw new Error(`${step}: expected ${String(wanted)}, got ${String(what)}`);
};

/** An operator forces a switch, the agent claims it, launches, reports, acknowledges, and the new machine registers. Each answer is awaited. */
export const switchOnce = async (connection: Connection, agent: Agent, operatorToken: string): Promise<void> => {
	const target = (agent.zone + 1) % ZONES.length;
	const order = { target: 'spot', pool_id: poolOf(agent, target) };
	const path = `/api/client/instances/${agent.instanceId}/force-switch`;
	const { command_id: commandId } = await carry(connection, 'force', request('POST', path, operatorToken, order));

	const { commands } = await carry(connection, 'claim', get(agent, 'pending-commands'));
	same('claim', (commands as Array<{ id: string }>)[0]?.id, commandId);

	const from = { ...agent };
	const to: Agent = { ...agent, zone: target, instanceId: nextInstanceId() };
	const now = new Date().toISOString();
	const side = (host: Agent) => ({
		instance_id: host.instanceId,
		instance_type: host.instanceType,
		region: REGION,
		az: zoneOf(host),
		ami_id: 'ami-0123456789abcdef0',
		mode: 'spot',
		pool_id: poolOf(host),
	});
	const report = {
		old_instance: side(from),
		new_instance: side(to),
		snapshot: { used: false },
		prices: { on_demand: 0.085, old_spot: 0.0351, new_spot: 0.0312 },
		timing: {
			switch_initiated_at: now,
			new_instance_launched_at: now,
			new_instance_ready_at: now,
			traffic_switched_at: now,
			old_instance_terminated_at: now,
		},
		trigger: 'manual',
	};
	const { action } = await carry(connection, 'report', request('POST', agentPath(agent, 'switch-report'), agent.token, report));
	same('report', action, 'switched');

	const outcome = { success: true, message: 'Switch completed' };
	const executed = request('POST', agentPath(agent, `commands/${String(commandId)}/executed`), agent.token, outcome);
	same('acknowledge', (await carry(connection, 'acknowledge', executed))['command_status'], 'completed');

	const { agent_id: handle, role } = await carry(
		connection,
		'register',
		request('POST', '/api/agents/register', agent.token, registration(to)),
	);
	same('register', role, 'primary');
	Object.assign(agent, to, { handle });
};

/** Whole switch cycles, 32 in flight, each agent in turn. Cycles begun within the time are finished and checked, but not counted. */
export const driveSwitches = async ({ agents, operatorToken, daemon, database }: World, seconds: number) => {
	const { connections, during, close } = await openConnections(daemon.port);
	const free = [...agents];
	let counted: Stretch | null = null;
	let done = 0;
	const finish = watchCpu([daemon.pid, ...database.pids]);
	const timer = setTimeout(() => {
		counted = finish(done);
	}, seconds * 1000);
	const work = connections.map(async (connection) => {
		while (counted === null) {
			const agent = free.shift();
			if (agent === undefined) throw new Error('more connections than agents');
			await switchOnce(connection, agent, operatorToken);
			done++;
			free.push(agent);
		}
	});
	try {
		await during(Promise.all(work));
	} finally {
		clearTimeout(timer);
		close();
	}
	return { stretch: counted ?? finish(done), done };
};

/** Looks into the database, past the daemon: every command ended well, once, and every agent has exactly the primary it was left with. */
export const verifySwitches = async ({ database, agents }: World, done: number): Promise<void> => {
	const expected: Array<[string, number, string]> = [
		['commands', done, 'select count(*) as n from command'],
		['completed commands', done, "select count(*) as n from command where status = 'completed' and outcome = 'report'"],
		['acknowledged commands', done, 'select count(*) as n from command where acknowledged_success = 1'],
		['switches in the books', done, 'select count(distinct command_id) as n from switch_record where success = 1'],
		['agents', agents.length, 'select count(*) as n from agent'],
		['primaries', agents.length, "select count(*) as n from host where role = 'primary'"],
		[
			'agents with a primary',
			agents.length,
			"select count(distinct agent_id) as n from host where role = 'primary' and primary_of = agent_id",
		],
		['machines', agents.length + done, 'select count(*) as n from host'],
		['ended machines', done, "select count(*) as n from host where role = 'terminated'"],
	];
	for (const [what, wanted, sql] of expected) same(what, Number((await database.query(sql))[0]?.['n']), wanted);
	const primaries = await database.query("select handle, instance_id from host where role = 'primary'");
	const instanceOf = new Map(primaries.map((row) => [String(row['handle']), String(row['instance_id'])]));
	for (const agent of agents) same(`primary of ${agent.logicalId}`, instanceOf.get(agent.handle), agent.instanceId);
};
