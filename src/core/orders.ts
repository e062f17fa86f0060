import type { Command } from '../store/commands.ts';
import type { Mode } from '../store/schema.ts';

/** What a machine says about itself when it registers; null is not said. */
export type Machine = {
	readonly clientId: string;
	readonly instanceType: string | null;
	readonly region: string | null;
	readonly az: string | null;
	readonly mode: Mode | null;
};

/**
 * Whether a launch that was ordered could be this machine: same client, region and type; claimed and not older than its lease; mode
 * equal or not sent; zone of the ordered pool, any zone for on-demand (identity.md section 3, "Fits").
 */
export const fits = (order: Command, machine: Machine, now: number): boolean =>
	order.client_id === machine.clientId &&
	order.awaits_machine === 1 &&
	order.claimed_at !== null &&
	order.lease_until !== null &&
	order.lease_until > now &&
	same(order.region, machine.region) &&
	same(order.instance_type, machine.instanceType) &&
	(machine.mode === null || order.target_mode === null || order.target_mode === machine.mode) &&
	(order.target_mode !== 'spot' || same(order.target_az, machine.az));

/** An agent without metadata says 'unknown' for what it cannot know; that contradicts nothing. */
const same = (ordered: string | null, said: string | null): boolean => ordered === null || said === null || ordered === said;

/** How far an order is from its end: still open, void (another promotion overtook it), or ended otherwise. */
export type OrderState = 'open' | 'void' | 'ended';

/** A command that was acknowledged but whose machine nobody has named is still open for the evidence, until another promotion. */
export const orderState = (order: Command): OrderState => {
	if (order.outcome === 'superseded') return 'void';
	if (order.status === 'claimed' || (order.status === 'completed' && order.new_instance_id === null)) return 'open';
	return 'ended';
};

/** What the orders that fit say about a machine nobody has heard of (R4, R6, R7; R8 when nothing fits). */
export type Reading =
	| { readonly kind: 'ordered'; readonly order: Command }
	| { readonly kind: 'undecided'; readonly tentative: Command | null }
	| { readonly kind: 'extra'; readonly order: Command }
	| { readonly kind: 'unexpected' };

/** The order an undecided machine stands for: the oldest open one that no other candidate does. */
export const tentativeOf = (orders: readonly Command[], taken: ReadonlySet<string>): Command | null =>
	orders.find((order) => orderState(order) === 'open' && !taken.has(order.id)) ?? null;

/**
 * Reads the orders of an agent for a machine that registers. `taken` holds the orders other candidates already stand for.
 * One open order and nothing else: it is that order's machine. One void order: an extra machine, if the primary lives. Everything else
 * that fits cannot be told apart.
 */
export const readOrders = (
	orders: readonly Command[],
	machine: Machine,
	now: number,
	taken: ReadonlySet<string>,
	primaryAlive: boolean,
): Reading => {
	const fitting = orders.filter((order) => fits(order, machine, now));
	if (fitting.length === 0) return { kind: 'unexpected' };
	const open = fitting.filter((order) => orderState(order) === 'open');
	const only = fitting.length === 1 ? fitting[0] : undefined;
	if (only !== undefined && open.length === 1) return { kind: 'ordered', order: only };
	if (only !== undefined && orderState(only) === 'void' && primaryAlive) return { kind: 'extra', order: only };
	return { kind: 'undecided', tentative: tentativeOf(fitting, taken) };
};

/** The zone of a pool: what follows the last dot (spec, conventions). */
export const zoneOf = (poolId: string): string => poolId.slice(poolId.lastIndexOf('.') + 1);

/** The instance type of a pool: what stands before the last dot. */
export const typeOf = (poolId: string): string => poolId.slice(0, Math.max(0, poolId.lastIndexOf('.')));

/** The region of an AWS zone (`us-east-1a` → `us-east-1`, local zones `us-west-2-lax-1a` → `us-west-2`); null when it is no zone's name. */
export const regionOf = (az: string): string | null => /^([a-z]{2,3}(?:-[a-z]+)+-\d+)(?:-[a-z]+-\d+)*[a-z]$/.exec(az)?.[1] ?? null;
