import { hostPricesOf } from '../store/prices.ts';
import type { HostPriceTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import type { SwitchRecord } from '../store/switches.ts';
import { impactOf } from './report.ts';

/** For so long the price that a machine reported of itself is what it pays (spec section 8 looks back as far). */
const OWN_PRICE_MS = 3_600_000;

/** What a machine last said it costs. Null: nothing, or nothing within the hour. */
export const freshPrice = (own: HostPriceTable | undefined, now: number): HostPriceTable | null =>
	own === undefined || now - own.reported_at > OWN_PRICE_MS ? null : own;

/** What machines last said they cost, by handle. */
export type OwnPrices = ReadonlyMap<string, HostPriceTable>;

/** Reads them, for whoever promotes without having read a situation. */
export const ownPricesOf = async (tx: Db, handles: readonly string[]): Promise<OwnPrices> =>
	new Map((await hostPricesOf.all(tx, { handles })).map((price) => [price.handle, price]));

/** Fills what nobody reports of a switch: what it saves an hour, from what both machines said themselves (spec section 5). */
export const priced = (record: SwitchRecord, from: string | null, to: string, prices: OwnPrices, now: number): SwitchRecord => {
	const before = from === null ? null : freshPrice(prices.get(from), now);
	const after = freshPrice(prices.get(to), now);
	const oldSpot = record.old_mode === 'ondemand' ? null : (before?.spot_micros ?? null);
	const newSpot = record.new_mode === 'ondemand' ? null : (after?.spot_micros ?? null);
	const onDemand = after?.ondemand_micros ?? before?.ondemand_micros ?? null;
	return {
		...record,
		old_spot_micros: oldSpot,
		new_spot_micros: newSpot,
		ondemand_micros: onDemand,
		impact_micros: impactOf(oldSpot, newSpot, onDemand, record.old_mode, record.new_mode),
	};
};
