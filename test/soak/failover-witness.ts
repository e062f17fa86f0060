import type { RequestEvent } from '../../src/fleet/fleet.ts';
import type { Db } from '../../src/store/statement.ts';
import type { FailoverBooks } from './failover-books.ts';
import { bodyOf, createWitness, handleIn, isAnswered, listOf, type Witness } from './witness.ts';

/** What agents were told about replicas and notices, held against the books. */
export type FailoverWitness = {
	/** The spine's: commands, terminate lists, settings. */
	readonly spine: Witness;
	hear(event: RequestEvent): void;
	/** What was answered since the last call, to be compared with books that are read after it. */
	take(): (books: FailoverBooks) => string[];
	/** What was answered at any time and is not in the books. */
	missing(books: FailoverBooks, db: Db): Promise<string[]>;
	/** Launch orders that were handed out, by replica. */
	readonly orders: ReadonlyMap<string, Order>;
	/** Machines of which a notice got no answer, and when it was sent (simulated): their agents never repeat it. */
	readonly unanswered: ReadonlyMap<string, number>;
	/** Machines of which the poll for a launch order, or what became of the launch, got no answer, and when it was sent (simulated). */
	readonly unheard: ReadonlyMap<string, number>;
	readonly counts: {
		notices: number;
		promoted: number;
		unavailable: number;
		lost: number;
		orders: number;
		attached: number;
		ready: number;
		ended: number;
		refused: number;
	};
};

type Order = { readonly instanceId: string; readonly at: number };
type Told = { readonly at: number; readonly instanceId: string; readonly by: string };

/** An order that was handed out is not handed out again for five minutes (identity.md section 6). */
const LEASE_MS = 5 * 60_000;

const NOTICES = ['/create-emergency-replica', '/termination-imminent', '/rebalance-recommendation'];

const isNotice = ({ route }: RequestEvent): boolean => NOTICES.some((end) => route.endsWith(end));

const replicaIn = (path: string): string => /\/replicas\/([^/?]+)/.exec(path)?.[1] ?? '';

/** See {@link createWitness} for `now` and `slack`. */
export const createFailoverWitness = (now: () => number, slack: number): FailoverWitness => {
	const spine = createWitness(now, slack);
	const orders = new Map<string, Order>();
	const unanswered = new Map<string, number>();
	const unheard = new Map<string, number>();
	const emergencies = new Set<string>();
	const promotions = new Map<string, Told>();
	const attached = new Map<string, string>();
	const readied = new Set<string>();
	const counts = { notices: 0, promoted: 0, unavailable: 0, lost: 0, orders: 0, attached: 0, ready: 0, ended: 0, refused: 0 };
	let listed: Told[] = [];
	let found: string[] = [];

	const launching = (event: RequestEvent): void => {
		for (const replica of listOf(bodyOf(event)['replicas'])) {
			const id = String(replica['id']);
			const before = orders.get(id);
			counts.orders++;
			if (before !== undefined && now() - before.at < LEASE_MS)
				found.push(`replica ${id} was handed to ${before.instanceId} and ${now() - before.at} ms later to ${event.instanceId}`);
			orders.set(id, { instanceId: event.instanceId, at: now() });
		}
	};

	const notice = (event: RequestEvent): void => {
		counts.notices++;
		const { status, retryAfter, instanceId, route } = event;
		if (status === null) {
			counts.lost++;
			unanswered.set(instanceId, event.at);
			return;
		}
		if (status === 503) {
			counts.unavailable++;
			if (retryAfter === null) found.push(`${instanceId} was answered 503 without Retry-After to ${route}`);
			return;
		}
		const body = bodyOf(event);
		if (status >= 400) {
			found.push(`${instanceId} was answered ${status} to ${route}: ${event.answer.slice(0, 300)}`);
			return;
		}
		if (typeof body['success'] !== 'boolean' || typeof body['action'] !== 'string')
			found.push(`${instanceId} was answered without success and action to ${route}: ${event.answer.slice(0, 300)}`);
		if (typeof body['emergency_id'] === 'string') emergencies.add(body['emergency_id']);
		if (route.endsWith('/termination-imminent') && body['success'] === true) {
			counts.promoted++;
			const newId = body['new_instance_id'];
			if (typeof newId !== 'string' || !newId.startsWith('i-'))
				found.push(`${instanceId} was told to stop and given no new machine: ${event.answer.slice(0, 300)}`);
			else if (newId === instanceId) found.push(`${instanceId} was told that it is its own successor`);
			else promotions.set(newId, { at: now(), instanceId: newId, by: instanceId });
		}
	};

	const hear = (event: RequestEvent): void => {
		spine.hear(event);
		if (isNotice(event)) notice(event);
		if (event.status === 409) counts.refused++;
		if (event.status === null && /\/replicas(\?status=launching|\/:id|\/:id\/status)$/.test(event.route))
			unheard.set(event.instanceId, event.at);
		if (!isAnswered(event)) return;
		const { route, sent, path } = event;
		if (route.endsWith('/replicas?status=launching')) launching(event);
		else if (route.endsWith('/replicas?status=terminated')) {
			for (const { instance_id } of listOf(bodyOf(event)['replicas']))
				listed.push({ at: now(), instanceId: String(instance_id), by: event.instanceId });
		} else if (route.endsWith('/replicas/:id') && event.method === 'PUT') {
			counts.attached++;
			attached.set(String(sent?.['instance_id']), handleIn(path));
		} else if (route.endsWith('/replicas/:id/status')) {
			if (sent?.['status'] === 'ready') {
				counts.ready++;
				readied.add(replicaIn(path));
			} else if (sent?.['status'] === 'terminated') counts.ended++;
		}
	};

	return {
		spine,
		hear,
		unanswered,
		unheard,
		orders,
		counts,
		take: () => {
			const told = spine.take();
			const wrong = found;
			found = [];
			const waiting = listed;
			listed = [];
			return (books) => [...told(books), ...wrong, ...wronglyListed(waiting, books, slack)];
		},
		missing: async (books, db) => {
			const missing: string[] = [];
			const known = new Set(books.emergencies.map(({ id }) => id));
			for (const id of emergencies) if (!known.has(id)) missing.push(`emergency ${id} was answered and is not in the books`);
			const records = await db.selectFrom('switch_record').select(['new_instance_id']).where('success', '=', 1).execute();
			const switched = new Set(records.map(({ new_instance_id }) => new_instance_id));
			const machines = new Map(books.hosts.map((host) => [host.instance_id, host]));
			const primaries = new Set(books.hosts.flatMap((host) => (host.role === 'primary' ? [host.instance_id] : [])));
			for (const { instanceId, by } of promotions.values())
				if (!switched.has(instanceId) && !primaries.has(instanceId))
					missing.push(`${by} was told that ${instanceId} is the primary, and it never was`);
			for (const instanceId of attached.keys())
				if (!machines.has(instanceId)) missing.push(`${instanceId} was attached to a replica and is in no books`);
			const replicas = new Map(books.replicas.map((replica) => [replica.id, replica]));
			for (const id of orders.keys()) {
				const replica = replicas.get(id);
				if (replica === undefined) missing.push(`replica ${id} was handed out and is not in the books`);
				else if (replica.served_at === null) missing.push(`replica ${id} was handed out and is not served in the books`);
			}
			for (const id of readied)
				if (replicas.get(id)?.status === 'launching') missing.push(`replica ${id} was reported ready and is still launching`);
			return missing;
		},
	};
};

/** Machines somebody was told to end although they are the primary. */
const wronglyListed = (listed: readonly Told[], books: FailoverBooks, slack: number): string[] => {
	const hosts = new Map(books.hosts.map((host) => [host.instance_id, host]));
	const moved = new Map(books.agents.map((agent) => [agent.id, agent.last_switch_at ?? 0]));
	return listed.flatMap(({ at, instanceId, by }) => {
		const host = hosts.get(instanceId);
		if (host === undefined) return [`${instanceId} was among the ended replicas of ${by} and is in no books`];
		const isSettled = (moved.get(host.agent_id) ?? 0) <= at - slack;
		return isSettled && (host.role === 'primary' || host.role === 'replica')
			? [`${instanceId} was among the ended replicas of ${by}, and it is ${host.role}`]
			: [];
	});
};
