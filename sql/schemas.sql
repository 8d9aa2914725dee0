-- CREATE EXTENSION where pgvector's types are, and in a schema of another name. Each in a
-- transaction that is rolled back, because the extension is there already.
SET client_min_messages = warning;

BEGIN;
DROP EXTENSION vdb_ext CASCADE;
CREATE SCHEMA taken;
CREATE TYPE taken.vector AS (x real[]);
CREATE TYPE taken.halfvec AS ENUM ();
DO $$
DECLARE
  detail text;
  hint text;
BEGIN
  CREATE EXTENSION vdb_ext SCHEMA taken;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RAISE WARNING USING MESSAGE = concat_ws(' | ', SQLSTATE, SQLERRM, detail, hint);
END
$$;
-- types that are an extension's, as pgvector's are: the error says whose
ALTER EXTENSION plpgsql ADD TYPE taken.halfvec;
DROP TYPE taken.vector;
DO $$
DECLARE
  detail text;
BEGIN
  CREATE EXTENSION vdb_ext SCHEMA taken;
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RAISE WARNING USING MESSAGE = concat_ws(' | ', SQLSTATE, SQLERRM, detail);
END
$$;
SELECT count(*) AS extensions FROM pg_extension WHERE extname = 'vdb_ext';
SELECT count(*) AS schemas FROM pg_namespace WHERE nspname = 'vdb';

-- the way out that the HINT names
CREATE SCHEMA "Our Vectors";
CREATE EXTENSION vdb_ext SCHEMA "Our Vectors";
SELECT '[3,4]'::"Our Vectors".vector OPERATOR("Our Vectors".<->) '[0,0]' AS distance;
SET search_path = "Our Vectors", taken;
SELECT avg(v), sum(v::halfvec) FROM (VALUES ('[1,2]'::vector), (ARRAY[3,4]::vector)) t(v);
ROLLBACK;

-- types, functions and operators of the product lie in the schema asked for or in vdb, nowhere else
SELECT DISTINCT n.nspname
  FROM pg_depend d
  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'vdb_ext'
  LEFT JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
  LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  LEFT JOIN pg_operator o ON d.classid = 'pg_operator'::regclass AND o.oid = d.objid
  LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
  JOIN pg_namespace n ON n.oid IN (t.typnamespace, p.pronamespace, o.oprnamespace, c.relnamespace)
  WHERE n.nspname <> 'vdb';

-- an extension with objects in two schemas cannot be moved
DO $$ BEGIN ALTER EXTENSION vdb_ext SET SCHEMA pg_temp;
EXCEPTION WHEN OTHERS THEN RAISE WARNING '% %', SQLSTATE, SQLERRM; END $$;
