import { httpApi } from '../../src/contract/http-client.ts';
import type { Api } from '../../src/contract/index.ts';
import { SpotError } from '../../src/errors.ts';
import type { Ec2 } from '../../src/fleet/ec2.ts';
import { AWS, OPERATOR } from '../../src/fleet/ec2-types.ts';
import type { Random } from '../../src/fleet/random.ts';
import { type HostBook, openCommands, primaries, readBooks } from './books.ts';
import type { Eyes } from './database.ts';
import type { Facts } from './facts.ts';

/** Somebody who forces switches all the time, whether the daemon is there or not. */
export type CrashOperator = {
	/** One step: a forced switch, a change of settings, a kept machine ended, another struck down. Never rejects for want of an answer. */
	turn(): Promise<void>;
	/** Handles of hosts with an order to fetch, as far as the operator knows. */
	readonly expecting: ReadonlySet<string>;
	readonly counts: { queued: number; refused: number; unanswered: number; settings: number; struck: number };
	/** Answers that nobody should get. */
	readonly refusals: readonly string[];
};

/** A kept machine is ended by hand when so many run: each costs the daemon requests. */
const KEPT = 12;
/** What an operator may be told in such a run. */
const USUAL = new Set(['SWITCH_OPEN', 'NOT_PRIMARY', 'AGENT_NEVER_POLLS', 'ALREADY_THERE']);
const NO_ANSWER = new Set(['DAEMON_UNREACHABLE', 'CONNECTION_LOST', 'DAEMON_TIMEOUT']);

export const createCrashOperator = (options: {
	readonly url: string;
	readonly adminToken: string;
	readonly clientId: string;
	readonly eyes: Eyes;
	readonly ec2: Ec2;
	readonly facts: Facts;
	readonly random: Random;
	/** A forced switch is about to be sent. */
	readonly onForce: () => void;
}): CrashOperator => {
	const { clientId, eyes, ec2, facts, random } = options;
	const api: Api = httpApi(options.url, options.adminToken, { timeoutMs: 10_000 });
	const expecting = new Set<string>();
	const counts = { queued: 0, refused: 0, unanswered: 0, settings: 0, struck: 0 };
	const refusals: string[] = [];
	const kept: string[] = [];

	let looked = 0;

	/** Machines die of their own now and then: only after they launched their successor, so that the agent lives on. */
	const strike = (): void => {
		for (const { kind, by } of ec2.ledger.slice(looked)) {
			if (kind !== 'launch' || by.kind !== 'agent' || by.instanceId === null || !random.chance(0.1)) continue;
			counts.struck++;
			ec2.terminate(by.instanceId, AWS, 'hardware failure');
		}
		looked = ec2.ledger.length;
	};

	const pick = <T>(items: readonly T[]): T | undefined => items[random.between(0, items.length - 1)];

	const asked = async (ask: () => Promise<void>): Promise<void> => {
		try {
			await ask();
		} catch (error) {
			if (!(error instanceof SpotError)) throw error;
			if (NO_ANSWER.has(error.code)) counts.unanswered++;
			else if (USUAL.has(error.code)) counts.refused++;
			else refusals.push(`the operator was answered ${error.code}: ${error.message}`);
		}
	};

	const force = async (host: HostBook): Promise<void> => {
		const pools = await eyes.db.selectFrom('pool').select('id').where('instance_type', '=', host.instance_type).execute();
		const pool = host.mode === 'spot' && random.chance(0.2) ? undefined : pick(pools.filter(({ id }) => id !== host.pool_id));
		if (pool === undefined && host.mode === 'ondemand') return;
		const keep = random.chance(0.3);
		options.onForce();
		await asked(async () => {
			const answer = await api.forceSwitch({
				instance_id: host.instance_id,
				client_id: clientId,
				...(pool === undefined ? { target: 'ondemand' } : { target: 'pool', pool_id: pool.id }),
				...(keep ? { auto_terminate: false } : {}),
			});
			if (answer.command_id === null) throw new Error('the forced switch has no command');
			counts.queued++;
			facts.queued(answer.command_id);
			expecting.add(host.handle);
			if (keep) kept.push(host.instance_id);
		});
	};

	return {
		expecting,
		counts,
		refusals,
		turn: async () => {
			strike();
			const books = await readBooks(eyes.db);
			const busy = new Set(openCommands(books).map((command) => command.agent_id));
			const main = primaries(books);
			const idle = [...main].flatMap(([agentId, host]) => {
				const agent = books.agents.find(({ id }) => id === agentId);
				const isV4 = agent?.logical_agent_id.startsWith('v4-') === true;
				return busy.has(agentId) || host.mode === null || host.registered_at === null || isV4 ? [] : [host];
			});
			expecting.clear();
			for (const command of books.commands) if (command.status === 'pending') expecting.add(command.handle);
			const host = pick(idle);
			if (host !== undefined) await force(host);
			if (random.chance(0.1)) {
				const agent = pick(books.agents);
				if (agent !== undefined)
					await asked(async () => {
						const answer = await api.changeConfig({ agent_id: agent.id, min_savings_percent: random.between(1, 40) });
						counts.settings++;
						facts.configured(agent.id, answer.config_version);
					});
			}
			const current = new Set([...main.values()].map(({ instance_id }) => instance_id));
			const old = kept.filter((id) => ec2.describe(id).state === 'running' && !current.has(id) && !busy.has(agentOf(books.hosts, id)));
			const first = old[0];
			if (old.length > KEPT && first !== undefined) ec2.terminate(first, OPERATOR, 'kept long enough');
		},
	};
};

const agentOf = (hosts: readonly HostBook[], instanceId: string): string =>
	hosts.find((host) => host.instance_id === instanceId)?.agent_id ?? '';
