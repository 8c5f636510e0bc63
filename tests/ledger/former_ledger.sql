BEGIN TRANSACTION;
CREATE TABLE account (
	id VARCHAR(64) NOT NULL, 
	origin TEXT NOT NULL, 
	uid TEXT NOT NULL, 
	created_at FLOAT NOT NULL, 
	paused_at FLOAT, 
	paused_code TEXT, 
	paused_message TEXT, 
	paused_credits FLOAT, 
	probe_at FLOAT, 
	probe_wait FLOAT, 
	trial BOOLEAN NOT NULL, 
	trial_task INTEGER, 
	slot_ceiling INTEGER, 
	slot_ceiling_until FLOAT, 
	PRIMARY KEY (id)
);
INSERT INTO "account" VALUES('fd4325cc530625cc','https://api.topview.ai','ExampleUid0000000001',1800000000.0,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL);
CREATE TABLE choice (
	account VARCHAR(64) NOT NULL, 
	product_id TEXT NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	image INTEGER NOT NULL, 
	who TEXT NOT NULL, 
	why TEXT NOT NULL, 
	chosen_at FLOAT NOT NULL, 
	PRIMARY KEY (account, product_id, fingerprint)
);
CREATE TABLE ledger_info (
	"key" VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "ledger_info" VALUES('schema_version','1');
CREATE TABLE order_run (
	order_id INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	asked_at FLOAT NOT NULL, 
	left_at FLOAT, 
	PRIMARY KEY (order_id, run_id), 
	FOREIGN KEY(order_id) REFERENCES orders (id)
);
INSERT INTO "order_run" VALUES(1,'run',1800000000.0,NULL);
INSERT INTO "order_run" VALUES(2,'run',1800000000.0,NULL);
INSERT INTO "order_run" VALUES(3,'run',1800000000.0,NULL);
CREATE TABLE orders (
	id INTEGER NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	product_id TEXT NOT NULL, 
	stage VARCHAR(32) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	force BOOLEAN NOT NULL, 
	root_run_id TEXT NOT NULL, 
	generation INTEGER, 
	task_id INTEGER, 
	owner VARCHAR(32), 
	held_reason VARCHAR(16), 
	held_detail TEXT, 
	held_until FLOAT, 
	failure JSON, 
	created_at FLOAT NOT NULL, 
	updated_at FLOAT NOT NULL, 
	closed_at FLOAT, 
	PRIMARY KEY (id)
);
INSERT INTO "orders" VALUES(1,'fd4325cc530625cc','a','replacedImages','done','ordered',0,'run',0,1,NULL,NULL,NULL,NULL,NULL,1800000000.0,1800000000.0,1800000000.0);
INSERT INTO "orders" VALUES(2,'fd4325cc530625cc','b','replacedImages','open','ordered',0,'run',0,2,'me',NULL,NULL,NULL,NULL,1800000000.0,1800000000.0,NULL);
INSERT INTO "orders" VALUES(3,'fd4325cc530625cc','d','replacedImages','open','ordered',0,'run',0,3,'me',NULL,NULL,NULL,NULL,1800000000.0,1800000000.0,NULL);
CREATE TABLE producer (
	id VARCHAR(32) NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	run_id TEXT, 
	host TEXT NOT NULL, 
	boot_id TEXT NOT NULL, 
	pid_namespace TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	process_started FLOAT NOT NULL, 
	started_at FLOAT NOT NULL, 
	lease_until FLOAT NOT NULL, 
	ended_at FLOAT, 
	PRIMARY KEY (id)
);
INSERT INTO "producer" VALUES('00000000000000000000000000000000','fd4325cc530625cc','run','h','b','n',1,1.0,1800000000.0,1800000060.0,NULL);
CREATE TABLE task (
	id INTEGER NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	stage VARCHAR(32) NOT NULL, 
	product_id TEXT NOT NULL, 
	work VARCHAR(64) NOT NULL, 
	generation INTEGER NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	run_id TEXT NOT NULL, 
	root_run_id TEXT NOT NULL, 
	owner VARCHAR(32), 
	notice_token VARCHAR(64) NOT NULL, 
	topview_task_id TEXT, 
	request JSON, 
	inputs JSON NOT NULL, 
	mode VARCHAR(32), 
	estimate FLOAT, 
	cost_credits FLOAT, 
	booked_at FLOAT, 
	queued_at FLOAT NOT NULL, 
	reserved_at FLOAT NOT NULL, 
	pending_at FLOAT, 
	last_query_at FLOAT, 
	succeeded_at FLOAT, 
	stored_at FLOAT, 
	closed_at FLOAT, 
	deadline_at FLOAT NOT NULL, 
	materialized_at FLOAT, 
	retryable BOOLEAN, 
	not_before FLOAT, 
	error_code TEXT, 
	error_message TEXT, 
	result JSON, 
	artifacts JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "task" VALUES(1,'fd4325cc530625cc','replacedImages','a','work of a',0,'work of a/0',1,'stored','run','run',NULL,'cb118bba4283abebd4610dc3719c7ee2','topview-1','{}','{}',NULL,NULL,2.0,1800000000.0,0.0,1800000000.0,1800000000.0,NULL,1800000000.0,1800000000.0,NULL,1800001200.0,1800000000.0,NULL,NULL,NULL,NULL,'{}','[]');
INSERT INTO "task" VALUES(2,'fd4325cc530625cc','replacedImages','b','work of b',0,'work of b/0',1,'pending','run','run','me','a1c580d36f9c8490dc1c97625ca5963b','topview-2','{}','{}',NULL,NULL,NULL,NULL,0.0,1800000000.0,1800000000.0,NULL,NULL,NULL,NULL,1800001200.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "task" VALUES(3,'fd4325cc530625cc','replacedImages','d','work of d',0,'work of d/0',1,'unknown','run','run',NULL,'6d80dbf02ca193b87c8c19a7cda075e2',NULL,'{}','{}',NULL,NULL,NULL,NULL,0.0,1800000000.0,NULL,NULL,NULL,NULL,NULL,1800001200.0,NULL,NULL,NULL,NULL,'the answer to the submit was lost',NULL,NULL);
CREATE TABLE task_event (
	id INTEGER NOT NULL, 
	account VARCHAR(64) NOT NULL, 
	task_id INTEGER, 
	order_id INTEGER, 
	at FLOAT NOT NULL, 
	what VARCHAR(32) NOT NULL, 
	who TEXT NOT NULL, 
	detail JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "task_event" VALUES(1,'fd4325cc530625cc',1,NULL,1800000000.0,'reserved','me','{"run": "run"}');
INSERT INTO "task_event" VALUES(2,'fd4325cc530625cc',1,NULL,1800000000.0,'pending','me','{"from": "reserved", "topview_task_id": "topview-1"}');
INSERT INTO "task_event" VALUES(3,'fd4325cc530625cc',1,NULL,1800000000.0,'succeeded','me','{"from": "pending", "credits": 2.0}');
INSERT INTO "task_event" VALUES(4,'fd4325cc530625cc',1,NULL,1800000000.0,'stored','me','{"from": "succeeded", "files": 0}');
INSERT INTO "task_event" VALUES(5,'fd4325cc530625cc',2,NULL,1800000000.0,'reserved','me','{"run": "run"}');
INSERT INTO "task_event" VALUES(6,'fd4325cc530625cc',2,NULL,1800000000.0,'pending','me','{"from": "reserved", "topview_task_id": "topview-2"}');
INSERT INTO "task_event" VALUES(7,'fd4325cc530625cc',3,NULL,1800000000.0,'reserved','me','{"run": "run"}');
INSERT INTO "task_event" VALUES(8,'fd4325cc530625cc',3,NULL,1800000000.0,'unknown','me','{"from": "reserved", "why": "the answer to the submit was lost"}');
CREATE TABLE upload (
	account VARCHAR(64) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	file_id TEXT NOT NULL, 
	format VARCHAR(8) NOT NULL, 
	uploaded_at FLOAT NOT NULL, 
	PRIMARY KEY (account, sha256)
);
INSERT INTO "upload" VALUES('fd4325cc530625cc','hash','file-1','png',1800000000.0);
CREATE INDEX ix_producer_account ON producer (account);
CREATE INDEX ix_orders_task_id ON orders (task_id);
CREATE INDEX orders_by_state ON orders (account, state, held_until);
CREATE INDEX orders_of_product ON orders (account, product_id, stage, closed_at);
CREATE UNIQUE INDEX one_open_order ON orders (account, product_id, stage) WHERE state = 'open';
CREATE UNIQUE INDEX one_row_per_topview_task ON task (account, topview_task_id) WHERE topview_task_id IS NOT NULL;
CREATE INDEX task_by_state ON task (account, state);
CREATE UNIQUE INDEX one_live_task ON task (account, fingerprint) WHERE state IN ('pending', 'reserved', 'stalled', 'stored', 'succeeded', 'unknown');
CREATE INDEX task_by_fingerprint ON task (account, fingerprint);
CREATE INDEX task_by_work ON task (account, work);
CREATE INDEX ix_task_event_task_id ON task_event (task_id);
CREATE INDEX ix_task_event_order_id ON task_event (order_id);
CREATE INDEX orders_of_run ON order_run (run_id);
COMMIT;
