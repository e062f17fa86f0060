import type { AgentTable, CommandTable, HostTable } from '../../src/store/schema.ts';
import type { Db } from '../../src/store/statement.ts';

export type AgentBook = Pick<AgentTable, 'id' | 'logical_agent_id' | 'status' | 'generation' | 'last_switch_at' | 'auto_terminate_enabled'>;
export type HostBook = Pick<
	HostTable,
	| 'handle'
	| 'agent_id'
	| 'instance_id'
	| 'role'
	| 'primary_of'
	| 'generation'
	| 'mode'
	| 'pool_id'
	| 'az'
	| 'instance_type'
	| 'registered_at'
	| 'hold'
	| 'zombie_at'
>;
export type CommandBook = Pick<
	CommandTable,
	| 'id'
	| 'agent_id'
	| 'handle'
	| 'status'
	| 'outcome'
	| 'message'
	| 'open_switch_of'
	| 'instance_id'
	| 'new_instance_id'
	| 'target_mode'
	| 'target_pool_id'
	| 'trigger_type'
	| 'created_at'
	| 'claimed_at'
	| 'reported_at'
	| 'completed_at'
>;

/** What the database says about agents, machines and orders at one moment. */
export type Books = {
	readonly agents: readonly AgentBook[];
	readonly hosts: readonly HostBook[];
	readonly commands: readonly CommandBook[];
};

/**
 * Reads the books, and `more` beside them, from one snapshot, so that what is written meanwhile cannot look like a contradiction.
 */
export const readBooks = <T extends object = object>(db: Db, more?: (tx: Db) => Promise<T>): Promise<Books & T> =>
	db
		.transaction()
		.setIsolationLevel('repeatable read')
		.execute(async (tx) => ({
			...((await more?.(tx)) ?? ({} as T)),
			agents: await tx
				.selectFrom('agent')
				.select(['id', 'logical_agent_id', 'status', 'generation', 'last_switch_at', 'auto_terminate_enabled'])
				.execute(),
			hosts: await tx
				.selectFrom('host')
				.select(['handle', 'agent_id', 'instance_id', 'role', 'primary_of', 'generation', 'mode', 'pool_id', 'az', 'instance_type'])
				.select(['registered_at', 'hold', 'zombie_at'])
				.execute(),
			commands: await tx
				.selectFrom('command')
				.select(['id', 'agent_id', 'handle', 'status', 'outcome', 'message', 'open_switch_of', 'instance_id', 'new_instance_id'])
				.select(['target_mode', 'target_pool_id', 'trigger_type', 'created_at', 'claimed_at', 'reported_at', 'completed_at'])
				.execute(),
		}));

const isOpen = (command: CommandBook): boolean => command.status === 'pending' || command.status === 'claimed';

export const openCommands = ({ commands }: Books): CommandBook[] => commands.filter(isOpen);

/** The primary of every agent, by agent. */
export const primaries = ({ hosts }: Books): Map<string, HostBook> =>
	new Map(hosts.flatMap((host) => (host.primary_of === null ? [] : [[host.primary_of, host]])));

const repeated = (values: readonly string[]): string[] => [...new Set(values.filter((value, index) => values.indexOf(value) !== index))];

/** What must hold at every moment (identity.md section 8), as far as one look at the books can tell. */
export const contradictions = (books: Books): string[] => {
	const { agents, hosts, commands } = books;
	const found: string[] = [];
	const mainOf = new Map<string, HostBook[]>();
	const machines = new Map<string, HostBook>();
	for (const host of hosts) {
		if ((host.role === 'primary') !== (host.primary_of !== null))
			found.push(`${host.instance_id} is ${host.role} with primary_of set or not`);
		if (host.primary_of !== null && host.primary_of !== host.agent_id) found.push(`${host.instance_id} is the primary of a foreign agent`);
		if (host.primary_of !== null) mainOf.set(host.primary_of, [...(mainOf.get(host.primary_of) ?? []), host]);
		const other = machines.get(host.instance_id);
		if (other !== undefined) found.push(`${host.instance_id} has two rows, of agents ${other.agent_id} and ${host.agent_id}`);
		machines.set(host.instance_id, host);
	}
	for (const agent of agents) {
		const main = mainOf.get(agent.id) ?? [];
		if (main.length !== 1) found.push(`${agent.logical_agent_id} has ${main.length} primaries`);
		if (main[0] !== undefined && main[0].generation !== agent.generation)
			found.push(`${agent.logical_agent_id}: its primary is of generation ${main[0].generation}, the agent of ${agent.generation}`);
	}
	const open = commands.filter(isOpen);
	for (const agentId of repeated(open.map((command) => command.agent_id))) found.push(`agent ${agentId} has two open switches`);
	for (const command of commands) {
		const ended = command.completed_at !== null;
		if (isOpen(command) === ended) found.push(`command ${command.id} is ${command.status} and completed_at is ${command.completed_at}`);
		if (isOpen(command) !== (command.open_switch_of !== null))
			found.push(`command ${command.id} is ${command.status}, open_switch_of says else`);
		if (ended && (command.outcome === null || command.outcome === '')) found.push(`command ${command.id} ended without a named outcome`);
	}
	return found;
};

/** Follows every order over time: each may end once, and never changes how it ended. */
export const followCommands = (): ((books: Books) => string[]) => {
	const seen = new Map<string, { status: string; outcome: string | null }>();
	return ({ commands }) => {
		const found: string[] = [];
		for (const { id, status, outcome } of commands) {
			const before = seen.get(id);
			seen.set(id, { status, outcome });
			if (before === undefined || (before.status === status && before.outcome === outcome) || before.status === 'pending') continue;
			// A claim whose answer was never written may be undone (identity.md section 6).
			if (before.status === 'claimed') continue;
			// "The agent says it is done" becomes "and this is the machine": the same end, better proved.
			if (before.status === 'completed' && status === 'completed' && before.outcome === 'acknowledged') continue;
			// A guess by registration that the claimant corrects (T2): it stays done, with another machine.
			if (before.status === 'completed' && status === 'completed' && before.outcome === 'registration' && outcome === 'report') continue;
			found.push(`command ${id} ended as ${before.status}/${before.outcome} and is ${status}/${outcome} now`);
		}
		for (const id of seen.keys())
			if (commands.length < seen.size && !commands.some((command) => command.id === id)) found.push(`command ${id} is gone`);
		return found;
	};
};
