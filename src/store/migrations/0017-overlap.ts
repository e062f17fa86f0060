import type { Step } from '../migrate.ts';

/**
 * The overlap of a switch has a line of its own. Facts of before say nothing of a planned end, so what is booked from them stays where it
 * is, and booking it anew comes to the same.
 */
export const overlap: readonly Step[] = [
	{ name: 'ledger-fact-overlap', ddl: () => 'alter table ledger_fact add column overlap_until bigint' },
	{ name: 'ledger-host-overlap', ddl: () => 'alter table ledger_host add column overlap_until bigint' },
	{ name: 'ledger-host-overlap-index', ddl: () => 'create index ledger_host_overlap on ledger_host (overlap_until)' },
	{ name: 'ledger-total-overlap', ddl: () => 'alter table ledger_total add column overlap_micros bigint not null default 0' },
];
