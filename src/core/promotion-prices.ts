import { hostPricesOf } from '../store/prices.ts';
import { type PromotionRows, writePromotions } from '../store/promotions.ts';
import type { HostPriceTable } from '../store/schema.ts';
import type { Db } from '../store/statement.ts';
import { impactOf } from './report.ts';

/** For so long the price that a machine reported of itself is what it pays (spec section 8 looks back as far). */
const OWN_PRICE_MS = 3_600_000;

/** What a machine last said it costs. Null: nothing, or nothing within the hour. */
export const freshPrice = (own: HostPriceTable | undefined, now: number): HostPriceTable | null =>
	own === undefined || now - own.reported_at > OWN_PRICE_MS ? null : own;

/** Nobody reports these switches: what they save is known from what both machines said themselves. */
const UNREPORTED: ReadonlySet<string> = new Set(['operator', 'notice', 'silence', 'takeover', 'taken-back']);

const priced = (rows: PromotionRows, prices: ReadonlyMap<string, HostPriceTable>): PromotionRows => {
	const { from, host, record, now } = rows;
	if (!UNREPORTED.has(record.evidence)) return rows;
	const before = from === null ? null : freshPrice(prices.get(from.role.handle), now);
	const after = freshPrice(prices.get(host.handle), now);
	const oldSpot = record.old_spot_micros ?? (record.old_mode === 'ondemand' ? null : (before?.spot_micros ?? null));
	const newSpot = record.new_spot_micros ?? (record.new_mode === 'ondemand' ? null : (after?.spot_micros ?? null));
	const onDemand = record.ondemand_micros ?? after?.ondemand_micros ?? before?.ondemand_micros ?? null;
	return {
		...rows,
		record: {
			...record,
			old_spot_micros: oldSpot,
			new_spot_micros: newSpot,
			ondemand_micros: onDemand,
			impact_micros: impactOf(oldSpot, newSpot, onDemand, record.old_mode, record.new_mode),
		},
	};
};

/** Writes changes of primary with what they save an hour (spec section 5): one read of prices whatever their number. */
export const writePriced = async (tx: Db, rows: readonly PromotionRows[]): Promise<void> => {
	const handles = rows
		.filter(({ record }) => UNREPORTED.has(record.evidence))
		.flatMap(({ from, host }) => (from === null ? [host.handle] : [from.role.handle, host.handle]));
	if (handles.length === 0) return writePromotions(tx, rows);
	const prices = new Map((await hostPricesOf.all(tx, { handles })).map((price) => [price.handle, price]));
	return writePromotions(
		tx,
		rows.map((each) => priced(each, prices)),
	);
};
