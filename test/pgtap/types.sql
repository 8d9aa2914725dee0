-- What the catalogs say of vector and halfvec: completeness, planner properties, privileges.
BEGIN;
SELECT no_plan();

CREATE VIEW ours AS
  SELECT p.*, p.oid::regprocedure::text AS signature
  FROM pg_proc p
  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'vdb_ext'
  WHERE ARRAY['vector'::regtype, 'halfvec'::regtype]::oid[] && (p.proargtypes::oid[] || p.prorettype)
    OR p.proname IN ('vector_combine', 'halfvec_combine', 'vector_typmod_in', 'halfvec_typmod_in');

-- types
SELECT set_eq(
  $$SELECT typname::text, typlen, typbyval, typtype::text, typcategory::text, typalign::text,
           typstorage::text, typdelim::text, typinput::text, typoutput::text, typreceive::text,
           typsend::text, typmodin::text, typmodout::text, typarray <> 0
    FROM pg_type WHERE oid IN ('vector'::regtype, 'halfvec'::regtype)$$,
  $$VALUES
    ('vector', -1::int2, false, 'b', 'U', 'i', 'e', ',', 'vector_in', 'vector_out', 'vector_recv',
     'vector_send', 'vector_typmod_in', '-', true),
    ('halfvec', -1::int2, false, 'b', 'U', 'i', 'e', ',', 'halfvec_in', 'halfvec_out', 'halfvec_recv',
     'halfvec_send', 'halfvec_typmod_in', '-', true)$$,
  'both types are varlenas on 4 bytes, stored external, with binary input and output');

-- functions: the complete list, vector's first
SELECT set_eq(
  $$SELECT signature FROM ours WHERE prokind = 'f'$$,
  $$SELECT replace(f, 'T', t) FROM unnest(ARRAY['vector', 'halfvec']) t, unnest(ARRAY[
      'T_in(cstring,oid,integer)', 'T_out(T)', 'T_typmod_in(cstring[])', 'T_recv(internal,oid,integer)', 'T_send(T)',
      'l2_distance(T,T)', 'inner_product(T,T)', 'cosine_distance(T,T)', 'l1_distance(T,T)',
      'vector_dims(T)', 'l2_norm(T)', 'l2_normalize(T)', 'binary_quantize(T)', 'subvector(T,integer,integer)',
      'T_add(T,T)', 'T_sub(T,T)', 'T_mul(T,T)', 'T_concat(T,T)',
      'T_lt(T,T)', 'T_le(T,T)', 'T_eq(T,T)', 'T_ne(T,T)', 'T_ge(T,T)', 'T_gt(T,T)', 'T_cmp(T,T)',
      'T_l2_squared_distance(T,T)', 'T_negative_inner_product(T,T)', 'T_spherical_distance(T,T)',
      'T_accum(double precision[],T)', 'T_avg(double precision[])',
      'T_combine(double precision[],double precision[])',
      'T(T,integer,boolean)', 'T_to_float4(T,integer,boolean)',
      'array_to_T(integer[],integer,boolean)', 'array_to_T(real[],integer,boolean)',
      'array_to_T(double precision[],integer,boolean)', 'array_to_T(numeric[],integer,boolean)']) f
    UNION ALL
    VALUES ('vector_norm(vector)'), ('vector_to_halfvec(vector,integer,boolean)'),
           ('halfvec_to_vector(halfvec,integer,boolean)')$$,
  'every function of the types is there, and no other');
SELECT is_empty(
  $$SELECT signature FROM ours WHERE prokind = 'f' AND NOT (provolatile = 'i' AND proisstrict AND proparallel = 's')$$,
  'all of them are immutable, strict and parallel safe');
SELECT is_empty(
  $$SELECT signature FROM ours WHERE prosecdef OR proleakproof OR proconfig IS NOT NULL OR proretset$$,
  'none is a security definer or leakproof, sets a setting or returns a set');
SELECT is_empty(
  $$SELECT signature FROM ours WHERE prokind = 'f' AND prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')$$,
  'all of them are C');
SELECT is_empty(
  $$SELECT signature FROM ours WHERE prokind = 'f' AND (prosrc NOT LIKE 'vdb\_%' OR probin <> '$libdir/vdb_ext')$$,
  'all of them live in the module, under its prefix');

-- aggregates
SELECT set_eq(
  $$SELECT o.signature, aggtransfn::text, aggfinalfn::text, aggcombinefn::text, aggtranstype::regtype::text,
           agginitval, o.proparallel::text
    FROM pg_aggregate JOIN ours o ON o.oid = aggfnoid$$,
  $$VALUES
    ('avg(vector)', 'vector_accum', 'vector_avg', 'vector_combine', 'double precision[]', '{0}', 's'),
    ('sum(vector)', 'vector_add', '-', 'vector_add', 'vector', NULL, 's'),
    ('avg(halfvec)', 'halfvec_accum', 'halfvec_avg', 'halfvec_combine', 'double precision[]', '{0}', 's'),
    ('sum(halfvec)', 'halfvec_add', '-', 'halfvec_add', 'halfvec', NULL, 's')$$,
  'avg and sum are parallel safe and combine');

-- operators
SELECT set_eq(
  $$SELECT oprname::text, oprleft::regtype::text, oprcode::text, oprresult::regtype::text
    FROM pg_operator
    WHERE oprleft IN ('vector'::regtype, 'halfvec'::regtype) AND oprright = oprleft AND oprcom = 0$$,
  $$SELECT op, t, t || f AS code, t AS result
    FROM unnest(ARRAY['vector', 'halfvec']) t, (VALUES ('-', '_sub'), ('||', '_concat')) o(op, f)$$,
  'subtraction and concatenation have no commutator');
SELECT set_eq(
  $$SELECT o.oprname::text, o.oprleft::regtype::text, p.proname::text, o.oprresult::regtype::text,
           c.oprname::text AS com, n.oprname::text AS neg, o.oprrest::text, o.oprjoin::text
    FROM pg_operator o
    JOIN pg_operator c ON c.oid = o.oprcom AND c.oprleft = o.oprleft AND c.oprright = o.oprright
    JOIN pg_proc p ON p.oid = o.oprcode
    LEFT JOIN pg_operator n ON n.oid = o.oprnegate AND n.oprleft = o.oprleft
    WHERE o.oprleft IN ('vector'::regtype, 'halfvec'::regtype)$$,
  $$SELECT op, t, replace(f, 'T', t) AS code, coalesce(result, t) AS returns, com, neg,
           coalesce(sel || 'sel', '-') AS restsel, coalesce(sel || 'joinsel', '-') AS joinsel
    FROM unnest(ARRAY['vector', 'halfvec']) t, (VALUES
      ('<->', 'l2_distance', 'double precision', '<->', NULL, NULL),
      ('<#>', 'T_negative_inner_product', 'double precision', '<#>', NULL, NULL),
      ('<=>', 'cosine_distance', 'double precision', '<=>', NULL, NULL),
      ('<+>', 'l1_distance', 'double precision', '<+>', NULL, NULL),
      ('+', 'T_add', NULL, '+', NULL, NULL),
      ('*', 'T_mul', NULL, '*', NULL, NULL),
      ('<', 'T_lt', 'boolean', '>', '>=', 'scalarlt'),
      ('<=', 'T_le', 'boolean', '>=', '>', 'scalarle'),
      ('=', 'T_eq', 'boolean', '=', '<>', 'eq'),
      ('<>', 'T_ne', 'boolean', '<>', '=', 'neq'),
      ('>=', 'T_ge', 'boolean', '<=', '<', 'scalarge'),
      ('>', 'T_gt', 'boolean', '<', '<=', 'scalargt')) o(op, f, result, com, neg, sel)$$,
  'the other operators have their commutators, negators and selectivity estimators');
SELECT is_empty(
  $$SELECT oid::regoperator FROM pg_operator
    WHERE 'real[]'::regtype IN (oprleft, oprright)
      AND oid IN (SELECT objid FROM pg_depend WHERE classid = 'pg_operator'::regclass AND deptype = 'e')$$,
  'there is no operator on real[]: it would capture those of vector');

-- operator classes
SELECT set_eq(
  $$SELECT opcname::text, opcintype::regtype::text, opcdefault, amvalidate(c.oid)
    FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
    WHERE amname = 'btree' AND opcintype IN ('vector'::regtype, 'halfvec'::regtype)$$,
  $$VALUES ('vector_ops', 'vector', true, true), ('halfvec_ops', 'halfvec', true, true)$$,
  'the btree operator classes are the default ones and valid');
SELECT is_empty(
  $$SELECT opcname FROM pg_opclass WHERE opcintype IN ('vector'::regtype, 'halfvec'::regtype) AND NOT amvalidate(oid)$$,
  'every operator class of the types is valid');

-- casts
SELECT set_eq(
  $$SELECT castsource::regtype::text, casttarget::regtype::text, castcontext::text, castmethod::text
    FROM pg_cast
    WHERE ARRAY['vector'::regtype, 'halfvec'::regtype] && ARRAY[castsource::regtype, casttarget::regtype]$$,
  $$SELECT source, t, 'a' AS context, 'f' AS method FROM unnest(ARRAY['vector', 'halfvec']) t,
      unnest(ARRAY['integer[]', 'real[]', 'double precision[]', 'numeric[]']) source
    UNION ALL VALUES ('vector', 'vector', 'i', 'f'), ('halfvec', 'halfvec', 'i', 'f'), ('vector', 'halfvec', 'i', 'f'),
      ('halfvec', 'vector', 'a', 'f'), ('vector', 'real[]', 'i', 'f'), ('halfvec', 'real[]', 'a', 'f')$$,
  'casts are implicit or by assignment as pgvector has them');

-- privileges: an ordinary role can use all of it and create nothing in the product's schema
CREATE ROLE types_reader;
SELECT ok(has_type_privilege('types_reader', t, 'usage'), t || ' can be used by everyone')
  FROM unnest(ARRAY['vector', 'halfvec']) t;
SELECT is_empty(
  $$SELECT signature FROM ours WHERE NOT has_function_privilege('types_reader', oid, 'execute')$$,
  'every function can be called by everyone');
SELECT ok(has_schema_privilege('types_reader', 'vdb', 'usage'), 'schema vdb can be used by everyone');
SELECT ok(NOT has_schema_privilege('types_reader', 'vdb', 'create'), 'schema vdb can be filled by nobody');
CREATE TABLE readable (v vector(2), h halfvec(2));
INSERT INTO readable VALUES ('[1,2]', '[3,4]');
GRANT SELECT ON readable TO types_reader;
GRANT ALL ON SCHEMA public TO types_reader;
SET LOCAL ROLE types_reader;
SELECT is((SELECT v <-> '[1,0]' FROM readable), 2::float8, 'an ordinary role can compute distances');
CREATE TABLE own (v vector(2));
CREATE INDEX own_v ON own (v);
RESET ROLE;
SELECT has_index('public', 'own', 'own_v', ARRAY['v'], 'and use the btree operator class');

-- the extension itself
SELECT ok(NOT extrelocatable, 'the extension cannot be moved: functions know where its schema vdb is')
  FROM pg_extension WHERE extname = 'vdb_ext';
SELECT throws_ok('ALTER EXTENSION vdb_ext SET SCHEMA information_schema', '0A000');

SELECT * FROM finish();
ROLLBACK;
