import type { Step } from '../migrate.ts';

/** What nobody has booked yet is found in the order of its times, whatever was dated later before it. */
export const bookOrder: readonly Step[] = [
	{ name: 'ledger-fact-due', ddl: () => 'create index ledger_fact_due on ledger_fact (pending, at, id)' },
	{ name: 'no-ledger-fact-pending', ddl: (t) => t.dropIndex('ledger_fact', 'ledger_fact_pending') },
];
