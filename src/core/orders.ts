import type { Command } from '../store/commands.ts';
import type { Replica } from '../store/replicas.ts';
import type { Mode } from '../store/schema.ts';
import type { SwitchFailureTable } from '../store/tables/overview.ts';

/** What a machine says about itself when it registers; null is not said. */
export type Machine = {
	readonly clientId: string;
	readonly instanceType: string | null;
	readonly region: string | null;
	readonly az: string | null;
	readonly mode: Mode | null;
};

/** How far an order is from its end: still open, void (another promotion overtook it), or ended otherwise. */
export type OrderState = 'open' | 'void' | 'ended';

/** A launch that a host fetched: of a switch, or of a replica. */
export type Order = {
	readonly id: string;
	readonly clientId: string;
	readonly agentId: string;
	readonly instanceType: string | null;
	readonly region: string | null;
	readonly mode: Mode | null;
	/** Null where any zone would do. */
	readonly az: string | null;
	readonly awaitsMachine: boolean;
	/** When a host fetched it; null when none did. */
	readonly fetchedAt: number | null;
	readonly leaseUntil: number | null;
	readonly state: OrderState;
} & ({ readonly of: 'switch'; readonly command: Command } | { readonly of: 'replica'; readonly replica: Replica });

/** A command that was acknowledged but whose machine nobody has named is still open for the evidence, until another promotion. */
export const orderState = (order: Command): OrderState => {
	if (order.outcome === 'superseded') return 'void';
	if (order.status === 'claimed' || (order.status === 'completed' && order.new_instance_id === null)) return 'open';
	return 'ended';
};

/** How a switch is counted whose order ends without it. */
export const failureOf = (command: Command, now: number): SwitchFailureTable => ({
	id: command.id,
	client_id: command.client_id,
	agent_id: command.agent_id,
	trigger_type: command.trigger_type,
	at: now,
});

export const orderOfSwitch = (command: Command): Order => ({
	of: 'switch',
	command,
	id: command.id,
	clientId: command.client_id,
	agentId: command.agent_id,
	instanceType: command.instance_type,
	region: command.region,
	mode: command.target_mode,
	az: command.target_mode === 'spot' ? command.target_az : null,
	awaitsMachine: command.awaits_machine === 1,
	fetchedAt: command.claimed_at,
	leaseUntil: command.lease_until,
	state: orderState(command),
});

/** The agents of the field launch spot whatever the order says, so an on-demand order fits any mode. */
export const orderOfReplica = (replica: Replica): Order => ({
	of: 'replica',
	replica,
	id: replica.id,
	clientId: replica.client_id,
	agentId: replica.agent_id,
	instanceType: replica.instance_type,
	region: replica.region,
	mode: replica.mode === 'spot' ? 'spot' : null,
	az: replica.mode === 'spot' ? replica.az : null,
	awaitsMachine: replica.awaits_machine === 1,
	fetchedAt: replica.served_at,
	leaseUntil: replica.lease_until,
	state: replica.live_of !== null ? 'open' : replica.void === 1 ? 'void' : 'ended',
});

/**
 * Whether a launch that was ordered could be this machine: same client, region and type; fetched and not older than its lease; mode
 * equal or not sent; zone of the ordered pool, any zone for on-demand (identity.md section 3, "Fits").
 */
export const fits = (order: Order, machine: Machine, now: number): boolean =>
	order.clientId === machine.clientId &&
	order.awaitsMachine &&
	order.fetchedAt !== null &&
	order.leaseUntil !== null &&
	order.leaseUntil > now &&
	same(order.region, machine.region) &&
	same(order.instanceType, machine.instanceType) &&
	(machine.mode === null || order.mode === null || order.mode === machine.mode) &&
	same(order.az, machine.az);

/** An agent without metadata says 'unknown' for what it cannot know; that contradicts nothing. */
const same = (ordered: string | null, said: string | null): boolean => ordered === null || said === null || ordered === said;

/** What the orders that fit say about a machine nobody has heard of (R4, R5, R6, R7; R8 when nothing fits). */
export type Reading =
	| { readonly kind: 'ordered'; readonly order: Order }
	| { readonly kind: 'undecided'; readonly tentative: Order | null }
	| { readonly kind: 'extra'; readonly order: Order }
	| { readonly kind: 'unexpected' };

/** The order an undecided machine stands for: the oldest open one that no other candidate does. */
export const tentativeOf = (orders: readonly Order[], taken: ReadonlySet<string>): Order | null =>
	orders.find((order) => order.state === 'open' && !taken.has(order.id)) ?? null;

/** Oldest first, as they were fetched. */
export const byAge = (orders: readonly Order[]): Order[] =>
	[...orders].sort((a, b) => (a.fetchedAt ?? 0) - (b.fetchedAt ?? 0) || (a.id < b.id ? -1 : 1));

/**
 * Reads the orders of an agent for a machine that registers. `taken` holds the orders other candidates already stand for.
 * One open order and nothing else: it is that order's machine. One void order: an extra machine, if the primary lives. Everything else
 * that fits cannot be told apart.
 */
export const readOrders = (
	orders: readonly Order[],
	machine: Machine,
	now: number,
	taken: ReadonlySet<string>,
	primaryAlive: boolean,
): Reading => {
	const fitting = orders.filter((order) => fits(order, machine, now));
	if (fitting.length === 0) return { kind: 'unexpected' };
	const only = fitting.length === 1 ? fitting[0] : undefined;
	if (only?.state === 'open') return { kind: 'ordered', order: only };
	if (only?.state === 'void' && primaryAlive) return { kind: 'extra', order: only };
	return { kind: 'undecided', tentative: tentativeOf(fitting, taken) };
};

/** The zone of a pool: what follows the last dot (spec, conventions). */
export const zoneOf = (poolId: string): string => poolId.slice(poolId.lastIndexOf('.') + 1);

/** The instance type of a pool: what stands before the last dot. */
export const typeOf = (poolId: string): string => poolId.slice(0, Math.max(0, poolId.lastIndexOf('.')));

/** The region of an AWS zone (`us-east-1a` → `us-east-1`, local zones `us-west-2-lax-1a` → `us-west-2`); null when it is no zone's name. */
export const regionOf = (az: string): string | null => /^([a-z]{2,3}(?:-[a-z]+)+-\d+)(?:-[a-z]+-\d+)*[a-z]$/.exec(az)?.[1] ?? null;
