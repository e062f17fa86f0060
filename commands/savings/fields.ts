import { InvalidArgumentError, Option } from 'commander';
import type { Output } from '../../src/contract/index.ts';
import type { Column } from '../render.ts';

type Figures = Pick<
	Output<'showSavings'>,
	'savings' | 'baseline' | 'actual' | 'primaryCost' | 'replicaCost' | 'overlapCost' | 'zombieCost' | 'shares'
>;

/** The lines of a figure, and how sure it is: never the one without the other. */
export const figureFields: readonly Column<Figures>[] = [
	{ title: 'Savings', value: ({ savings }) => savings, as: 'usd' },
	{ title: 'On-demand cost', value: ({ baseline }) => baseline, as: 'usd' },
	{ title: 'Actual cost', value: ({ actual }) => actual, as: 'usd' },
	{ title: 'Primaries', value: ({ primaryCost }) => primaryCost, as: 'usd' },
	{ title: 'Replicas', value: ({ replicaCost }) => replicaCost, as: 'usd' },
	{ title: 'Overlap', value: ({ overlapCost }) => overlapCost, as: 'usd' },
	{ title: 'Zombies', value: ({ zombieCost }) => zombieCost, as: 'usd' },
	{ title: 'Measured', value: ({ shares }) => shares.measured, as: 'percent' },
	{ title: 'Estimated', value: ({ shares }) => shares.estimated, as: 'percent' },
	{ title: 'Unknown', value: ({ shares }) => shares.unknown, as: 'percent' },
];

/** `--month YYYY-MM`. */
export const monthOption = (what: string): Option =>
	new Option('--month <month>', `${what} (YYYY-MM, UTC)`).argParser((text) => {
		if (/^\d{4}-(0[1-9]|1[0-2])$/.test(text)) return text;
		throw new InvalidArgumentError('A month is written YYYY-MM, for example 2026-11.');
	});
