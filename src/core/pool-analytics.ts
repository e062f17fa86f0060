import type { Output, Valid } from '../contract/index.ts';
import { iso, isoOr } from '../contract/instant.ts';
import { agentById } from '../store/agents.ts';
import { type DowntimeGroup, downtimeBetween, downtimeOf, interruptionsOf, switchThatTook } from '../store/analytics.ts';
import { priceSeries, type Stretch } from '../store/price-series.ts';
import { hostPrice, onDemandPrice, poolQuotes } from '../store/prices.ts';
import type { Db } from '../store/statement.ts';
import { failuresOfClient } from '../store/switch-failures.ts';
import type { Caller } from './caller.ts';
import { clientNamed } from './client-named.ts';
import type { Context } from './context.ts';
import { instanceOf } from './instance-of.ts';
import { pricedPools } from './market.ts';
import { zoneOf } from './orders.ts';
import { usd } from './report.ts';
import { checkPool, isThere, priceNow, type Wanted, wantedOf } from './switch-target.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const ALTERNATIVES = 5;
/** A deviation of fewer prices says nothing. */
const LEAST_POINTS = 3;

type Category = 'very_low' | 'low' | 'medium' | 'high' | 'unknown';

/** The classes of spec section 10 by deviation over mean. */
export const categoryOf = (score: number | null): Category =>
	score === null ? 'unknown' : score < 0.05 ? 'very_low' : score < 0.1 ? 'low' : score < 0.2 ? 'medium' : 'high';

/** Standard deviation over mean of all prices in these stretches; null with fewer than three. Pure. */
export const deviationOf = (stretches: readonly Stretch[]): number | null => {
	const points = stretches.reduce((sum, each) => sum + each.points, 0);
	if (points < LEAST_POINTS) return null;
	const mean = stretches.reduce((sum, { spotSum }) => sum + spotSum, 0) / points;
	const square = stretches.reduce((sum, { squareSum }) => sum + squareSum, 0) / points;
	return mean === 0 ? null : Math.sqrt(Math.max(0, square - mean * mean)) / mean;
};

const rounded = (value: number): number => Math.round(value * 1_000_000) / 1_000_000;

/** How steady each of these pools was over 24 hours and 7 days, and how often AWS took machines back. Six statements. */
const steadiness = async (db: Db, pools: readonly string[], now: number) => {
	const week = now - 7 * DAY;
	const series = async (since: number) => {
		const found = new Map<string, Stretch[]>();
		for (const each of await priceSeries(db, pools, { since, until: now + HOUR, size: DAY }))
			found.set(each.poolId, [...(found.get(each.poolId) ?? []), each]);
		return found;
	};
	const [day, days, interruptions] = [
		await series(now - DAY),
		await series(week - (week % HOUR)),
		await interruptionsOf(db, pools, now - DAY),
	];
	return (pool: string) => {
		const score = deviationOf(day.get(pool) ?? []);
		const weekly = deviationOf(days.get(pool) ?? []);
		const rate = interruptions.get(pool);
		return {
			volatility_score: score === null ? null : rounded(score),
			volatility_category: categoryOf(score),
			interruption_rate_24h: rate === undefined ? null : rounded(rate),
			price_stability_7d: weekly === null ? null : rounded(Math.max(0, 1 - weekly)),
		};
	};
};

const UNKNOWN = {
	volatility_score: null,
	volatility_category: 'unknown',
	interruption_rate_24h: null,
	price_stability_7d: null,
} as const;

/** X7: prices of the last hour; `best` is the cheapest alternative that is no more volatile than the current pool, where both are known. */
export const poolVolatility =
	(context: Context) =>
	async (input: Valid<'poolVolatility'>, caller: Caller): Promise<Output<'poolVolatility'>> => {
		const db = context.store.read;
		const host = await instanceOf(db, input.instance_id, input.client_id, caller);
		const now = context.clock.now();
		const current = host.mode === 'spot' ? host.pool_id : null;
		const priced = await pricedPools(db, host, now - HOUR);
		const others = priced.filter(({ id }) => id !== current).slice(0, ALTERNATIVES);
		const of = await steadiness(db, [...(current === null ? [] : [current]), ...others.map(({ id }) => id)], now);
		const here = current === null ? UNKNOWN : of(current);
		const shown = others.map(({ id, az, price }) => ({ pool_id: id, az, current_price: usd(price.spot_micros), ...of(id) }));
		const limit = here.volatility_score ?? Number.POSITIVE_INFINITY;
		const best = shown.find(({ volatility_score: score }) => score !== null && score <= limit)?.pool_id;
		return {
			current_pool: {
				pool_id: current,
				az: current === null ? host.az : zoneOf(current),
				current_price: usd(priced.find(({ id }) => id === current)?.price.spot_micros ?? null),
				...here,
			},
			alternative_pools: shown.map((pool) => ({ ...pool, recommendation: pool.pool_id === best ? 'best' : null })),
		};
	};

const seconds = (ms: number): number => Math.round(ms) / 1000;

/** The downtime below which 95 of 100 measured switches lie, in milliseconds, to the longest of its second. Pure. */
export const p95Of = (groups: readonly DowntimeGroup[]): number => {
	const measured = groups.filter(({ seconds: at }) => at !== null).sort((a, b) => (a.seconds ?? 0) - (b.seconds ?? 0));
	const rank = Math.ceil(measured.reduce((sum, { count }) => sum + count, 0) * 0.95);
	let seen = 0;
	let most = 0;
	for (const group of measured) {
		if (seen >= rank && group.seconds !== null && group.seconds * 1000 > most) break;
		seen += group.count;
		most = Math.max(most, group.most ?? 0);
	}
	return most;
};

const count = (groups: readonly DowntimeGroup[]): number => groups.reduce((sum, group) => sum + group.count, 0);
const sumOf = (groups: readonly DowntimeGroup[]): number => groups.reduce((sum, group) => sum + group.sum, 0);

/** X6. Five statements. */
export const downtimeAnalytics =
	(context: Context) =>
	async (input: Valid<'downtimeAnalytics'>): Promise<Output<'downtimeAnalytics'>> => {
		const db = context.store.read;
		await clientNamed(db, input.client_id);
		const since = context.clock.now() - input.days * DAY;
		const key = { client_id: input.client_id, since };
		const groups = await downtimeOf(db, input.client_id, since);
		const failures = Number((await failuresOfClient.first(db, key))?.count ?? 0);
		const before = await downtimeBetween.first(db, { ...key, since: since - input.days * DAY, until: since });
		const measured = groups.filter((group) => group.seconds !== null);
		const least = Math.min(...measured.map((group) => group.least ?? 0));
		const most = Math.max(...measured.map((group) => group.most ?? 0));
		const longest = measured.length === 0 || most === 0 ? undefined : await switchThatTook.first(db, { ...key, downtime_ms: most });
		const average = measured.length === 0 ? 0 : sumOf(measured) / count(measured);
		const earlier = Number(before?.count ?? 0) === 0 ? 0 : Number(before?.sum) / Number(before?.count);
		const triggers = [...new Set(measured.map(({ trigger }) => trigger))].sort();
		const without = measured.reduce((sum, { none }) => sum + none, 0);
		return {
			days: input.days,
			total_downtime_seconds: Math.round(sumOf(measured) / 1000),
			average_downtime_per_switch: Math.round(average / 1000),
			switches_with_downtime: count(measured) - without,
			switches_without_downtime: without,
			switches_with_unknown_downtime: count(groups) - count(measured),
			downtime_by_trigger: Object.fromEntries(
				triggers.map((trigger) => {
					const of = measured.filter((group) => group.trigger === trigger);
					return [
						trigger,
						{
							total_seconds: Math.round(sumOf(of) / 1000),
							average_seconds: Math.round(sumOf(of) / count(of) / 1000),
							count: count(of),
						},
					];
				}),
			),
			longest_downtime:
				longest === undefined
					? null
					: {
							switch_id: longest.id,
							downtime_seconds: seconds(longest.downtime_ms ?? 0),
							timestamp: iso(longest.created_at),
							reason: longest.error_message ?? longest.trigger_type,
						},
			total_switches: count(groups) + failures,
			successful_switches: count(groups.filter(({ success }) => success === 1)),
			failed_switches: count(groups.filter(({ success }) => success === 0)) + failures,
			avg_downtime_seconds: seconds(average),
			p95_downtime_seconds: seconds(p95Of(groups)),
			min_downtime_seconds: measured.length === 0 ? 0 : seconds(least),
			max_downtime_seconds: measured.length === 0 ? 0 : seconds(most),
			...(measured.length === 0 || earlier === 0 ? {} : { trend: Math.round((average / earlier - 1) * 10_000) / 100 }),
		};
	};

type Simulation = Output<'simulateSwitch'>['simulation'];

/** Percent of the present price from which a switch is strongly recommended (spec section 10: usually 30 %). */
const STRONG = 30;

/** What a difference in price says, by the agent's own threshold. An unknown price recommends nothing (spec section 10 "Ours"). Pure. */
export const recommendationOf = (
	current: number | null,
	target: number | null,
	minPercent: number,
	risk: Category,
): Simulation['recommendation'] => {
	if (current === null || target === null || current === 0) return 'not_recommended';
	const percent = ((current - target) / current) * 100;
	if (percent < 0) return 'not_recommended';
	if (percent < minPercent || percent === 0) return 'neutral';
	return percent >= STRONG && (risk === 'very_low' || risk === 'low') ? 'strongly_recommended' : 'recommended';
};

/** X9. Spot prices older than an hour are unknown. */
export const simulateSwitch =
	(context: Context) =>
	async (input: Valid<'simulateSwitch'>, caller: Caller): Promise<Output<'simulateSwitch'>> => {
		const db = context.store.read;
		const host = await instanceOf(db, input.instance_id, input.client_id, caller);
		const now = context.clock.now();
		const since = now - HOUR;
		const named = input.target_pool ?? input.target_pool_id ?? input.pool_id;
		const target = input.target_type ?? input.target_mode ?? input.target ?? 'spot';
		const reasons: string[] = [];
		const isOpen = named === null && ['spot', 'pool'].includes(target.toLowerCase());
		const cheapest = isOpen ? (await pricedPools(db, host, since))[0] : undefined;
		if (isOpen && cheapest === undefined) reasons.push('no pool was given, and no price of a pool of its type and region is known');
		const wanted: Wanted = isOpen
			? { mode: 'spot', poolId: cheapest?.id ?? null }
			: wantedOf({ target, target_type: null, target_mode: null, pool_id: named, target_pool: null, target_pool_id: null });
		const quotes = await poolQuotes.all(db, { one: wanted.poolId ?? '', other: host.pool_id ?? '' });
		const quoted = quotes.find(({ id }) => id === wanted.poolId);
		if (wanted.poolId !== null) checkPool(host, quoted, wanted.poolId);
		const listed = await onDemandPrice.first(db, { instance_type: host.instance_type ?? '', region: host.region ?? '' });
		const own = await hostPrice.first(db, { handle: host.handle });
		const fresh = (quote: { spot_micros: number | null; observed_at: number | null } | undefined): number | null =>
			quote?.observed_at != null && quote.observed_at >= since ? quote.spot_micros : null;
		const said = own !== undefined && own.reported_at >= since ? own : { spot_micros: null, ondemand_micros: null };
		const onDemand = listed?.micros ?? null;
		const current = priceNow(host, said, fresh(quotes.find(({ id }) => id === host.pool_id)), onDemand);
		const price = wanted.mode === 'ondemand' ? onDemand : fresh(quoted);
		if (current === null) reasons.push('what the machine costs now is not known');
		if (price === null && cheapest === undefined) reasons.push('the price of the target is not known, or is older than an hour');
		const steady = wanted.poolId === null ? UNKNOWN : (await steadiness(db, [wanted.poolId], now))(wanted.poolId);
		if (wanted.poolId !== null && steady.volatility_category === 'unknown')
			reasons.push('there are too few prices of 24 hours to judge the pool');
		const past = await downtimeBetween.first(db, { client_id: host.client_id, since: now - 30 * DAY, until: now + HOUR });
		const measured = Number(past?.count ?? 0);
		if (measured === 0) reasons.push('no switch of the client in 30 days reported its downtime');
		if (isThere(host, wanted)) reasons.push('the machine is there already');
		const agent = await agentById.first(db, { id: host.agent_id });
		const hourly = current === null || price === null ? null : current - price;
		const observedAt = wanted.mode === 'ondemand' ? (listed?.observed_at ?? null) : (quoted?.observed_at ?? null);
		return {
			simulation: {
				current_mode: host.mode,
				current_pool: host.mode === 'spot' ? host.pool_id : null,
				target_mode: wanted.mode,
				target_pool: wanted.poolId,
				current_price: usd(current),
				target_price: usd(price),
				target_price_observed_at: isoOr(observedAt),
				hourly_savings: usd(hourly),
				daily_savings: usd(hourly === null ? null : hourly * 24),
				monthly_savings: usd(hourly === null ? null : hourly * 720),
				projected: ['daily_savings', 'monthly_savings'],
				estimated_downtime_seconds: measured === 0 ? null : Math.round(Number(past?.sum) / measured / 1000),
				confidence: price === null ? null : wanted.poolId === null ? 1 : (quoted?.confidence ?? null),
				volatility_risk: steady.volatility_category,
				interruption_probability_24h: steady.interruption_rate_24h,
				recommendation: recommendationOf(current, price, agent?.min_savings_percent ?? 0, steady.volatility_category),
				reasons,
			},
		};
	};
