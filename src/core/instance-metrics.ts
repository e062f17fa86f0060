import type { Output, Valid } from '../contract/index.ts';
import { isoOr } from '../contract/instant.ts';
import { switchCounts } from '../store/analytics.ts';
import type { Host } from '../store/hosts.ts';
import { ledgerState } from '../store/ledger.ts';
import { onDemandPrice, shownPrice } from '../store/prices.ts';
import type { Caller } from './caller.ts';
import type { Context } from './context.ts';
import { instanceOf } from './instance-of.ts';
import { dollars, usd } from './report.ts';
import { type SavingsFigures, savingsOf } from './savings.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const hoursOf = (ms: number): number => Math.max(0, Math.floor(ms / HOUR));

/** How long a machine has run, as far as anybody knows: from its first call to its end. */
const uptimeOf = ({ registered_at, terminated_at }: Host, now: number): number =>
	registered_at === null ? 0 : hoursOf((terminated_at ?? now) - registered_at);

const percent = (part: number, whole: number): number => (whole === 0 ? 0 : Math.round((part / whole) * 10_000) / 100);

/** How much of the time behind a figure is measured, estimated and unknown. */
const sharesOf = ({ measuredMs, estimatedMs, unknownMs }: SavingsFigures) => {
	const all = measuredMs + estimatedMs + unknownMs;
	return { measured: percent(measuredMs, all), estimated: percent(estimatedMs, all), unknown: percent(unknownMs, all) };
};

/** #29: prices as in lists, switches counted by row, savings from the books and from nowhere else (D-32). */
export const instanceMetrics =
	(context: Context) =>
	async (input: Valid<'instanceMetrics'>, caller: Caller): Promise<Output<'instanceMetrics'>> => {
		const db = context.store.read;
		const host = await instanceOf(db, input.instance_id, input.client_id, caller);
		const now = context.clock.now();
		const today = now - (now % DAY);
		const [own, listed, switches, state] = await Promise.all([
			shownPrice.first(db, { handle: host.handle }),
			onDemandPrice.first(db, { instance_type: host.instance_type ?? '', region: host.region ?? '' }),
			switchCounts.first(db, {
				agent_id: host.agent_id,
				instance_id: host.instance_id,
				week: now - 7 * DAY,
				month: now - 30 * DAY,
			}),
			ledgerState.first(db, {}),
		]);
		const scope = { clientId: host.client_id, instanceId: host.instance_id };
		const [all, recent] = await Promise.all([savingsOf(db, scope, now), savingsOf(db, { ...scope, since: today - 29 * DAY }, now)]);
		const onDemand = own?.ondemand_micros ?? listed?.micros ?? null;
		const spot = own?.spot_micros ?? null;
		return {
			id: host.instance_id,
			instanceType: host.instance_type,
			currentMode: host.mode,
			currentPoolId: host.mode === 'spot' ? host.pool_id : null,
			spotPrice: usd(spot) ?? 0,
			onDemandPrice: usd(onDemand) ?? 0,
			baselineOnDemandPrice: usd(onDemand) ?? 0,
			pricesKnown: { spot: spot !== null, onDemand: onDemand !== null },
			uptimeHours: uptimeOf(host, now),
			hoursSinceLastSwitch: host.last_switch_at === null ? 0 : hoursOf(now - host.last_switch_at),
			lastSwitch: isoOr(host.last_switch_at),
			totalSwitches: Number(switches?.total ?? 0),
			switchesLast7Days: Number(switches?.week ?? 0),
			switchesLast30Days: Number(switches?.month ?? 0),
			savingsLast30Days: dollars(recent.savingsMicros),
			totalSavings: dollars(all.savingsMicros),
			savingsCountFrom: isoOr(state?.pruned_before ?? null),
			savingsShares: { last30Days: sharesOf(recent), total: sharesOf(all) },
		};
	};
