-- vdb_ext 1.0. Types, operators and operator classes go to the schema that CREATE EXTENSION names;
-- everything of the product's own goes to the schema vdb.
\echo Use "CREATE EXTENSION vdb_ext" to load this file. \quit

-- pgvector's types have our names, its operators our operators: one schema cannot hold both.
DO $$
DECLARE
  clash record;
BEGIN
  SELECT t.typname, e.extname INTO clash
    FROM pg_catalog.pg_type t
    LEFT JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
        AND d.deptype = 'e'
    LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE t.typnamespace = pg_catalog.to_regnamespace('@extschema@')
      AND t.typname IN ('vector', 'halfvec')
    ORDER BY t.typname DESC
    LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION USING
      ERRCODE = 'duplicate_object',
      MESSAGE = pg_catalog.format('type "%s" already exists in schema "%s"',
                                  clash.typname, current_schema()),
      DETAIL = CASE WHEN clash.extname IS NULL THEN 'It belongs to no extension.'
                    ELSE pg_catalog.format('It belongs to extension "%s".', clash.extname) END,
      HINT = 'Create vdb_ext in another schema: CREATE SCHEMA vectors; '
        'CREATE EXTENSION vdb_ext SCHEMA vectors;'
        || CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_available_extensions
                               WHERE name = 'vdb_pgvector')
           THEN ' Extension vdb_pgvector then indexes columns of pgvector''s types.'
           ELSE '' END;
  END IF;
END
$$;

CREATE SCHEMA vdb;
GRANT USAGE ON SCHEMA vdb TO PUBLIC;

-- vector

CREATE TYPE vector;

CREATE FUNCTION vector_in(cstring, oid, integer) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_in'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_out(vector) RETURNS cstring
  AS 'MODULE_PATHNAME', 'vdb_vector_out'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_typmod_in(cstring[]) RETURNS integer
  AS 'MODULE_PATHNAME', 'vdb_vector_typmod_in'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_recv(internal, oid, integer) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_recv'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_send(vector) RETURNS bytea
  AS 'MODULE_PATHNAME', 'vdb_vector_send'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE vector (
  INPUT = vector_in,
  OUTPUT = vector_out,
  TYPMOD_IN = vector_typmod_in,
  RECEIVE = vector_recv,
  SEND = vector_send,
  STORAGE = external
);

-- functions on vector

CREATE FUNCTION l2_distance(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_vector_l2_distance'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION inner_product(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_vector_inner_product'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION cosine_distance(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_vector_cosine_distance'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION l1_distance(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_vector_l1_distance'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_dims(vector) RETURNS integer
  AS 'MODULE_PATHNAME', 'vdb_vector_dims'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_norm(vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_vector_norm'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION l2_norm(vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_vector_norm'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION l2_normalize(vector) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_l2_normalize'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION binary_quantize(vector) RETURNS bit
  AS 'MODULE_PATHNAME', 'vdb_vector_binary_quantize'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION subvector(vector, integer, integer) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_subvector'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- what stands behind operators, operator classes and aggregates of vector

CREATE FUNCTION vector_add(vector, vector) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_add'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_sub(vector, vector) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_sub'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_mul(vector, vector) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_mul'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_concat(vector, vector) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_concat'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_lt(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_vector_lt'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_le(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_vector_le'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_eq(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_vector_eq'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_ne(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_vector_ne'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_ge(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_vector_ge'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_gt(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_vector_gt'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_cmp(vector, vector) RETURNS integer
  AS 'MODULE_PATHNAME', 'vdb_vector_cmp'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_l2_squared_distance(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_vector_l2_squared_distance'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_negative_inner_product(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_vector_negative_inner_product'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_spherical_distance(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_vector_spherical_distance'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_accum(double precision[], vector) RETURNS double precision[]
  AS 'MODULE_PATHNAME', 'vdb_vector_accum'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_avg(double precision[]) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_avg'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_combine(double precision[], double precision[]) RETURNS double precision[]
  AS 'MODULE_PATHNAME', 'vdb_vector_combine'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE AGGREGATE avg(vector) (
  SFUNC = vector_accum,
  STYPE = double precision[],
  FINALFUNC = vector_avg,
  COMBINEFUNC = vector_combine,
  INITCOND = '{0}',
  PARALLEL = SAFE
);

CREATE AGGREGATE sum(vector) (
  SFUNC = vector_add,
  STYPE = vector,
  COMBINEFUNC = vector_add,
  PARALLEL = SAFE
);

-- operators on vector

CREATE OPERATOR <-> (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = l2_distance, COMMUTATOR = '<->'
);
CREATE OPERATOR <#> (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_negative_inner_product, COMMUTATOR = '<#>'
);
CREATE OPERATOR <=> (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = cosine_distance, COMMUTATOR = '<=>'
);
CREATE OPERATOR <+> (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = l1_distance, COMMUTATOR = '<+>'
);
CREATE OPERATOR + (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_add, COMMUTATOR = +
);
CREATE OPERATOR - (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_sub
);
CREATE OPERATOR * (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_mul, COMMUTATOR = *
);
CREATE OPERATOR || (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_concat
);
CREATE OPERATOR < (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_lt,
  COMMUTATOR = > , NEGATOR = >= ,
  RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR <= (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_le,
  COMMUTATOR = >= , NEGATOR = > ,
  RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR = (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_eq,
  COMMUTATOR = = , NEGATOR = <> ,
  RESTRICT = eqsel, JOIN = eqjoinsel
);
CREATE OPERATOR <> (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_ne,
  COMMUTATOR = <> , NEGATOR = = ,
  RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR >= (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_ge,
  COMMUTATOR = <= , NEGATOR = < ,
  RESTRICT = scalargesel, JOIN = scalargejoinsel
);
CREATE OPERATOR > (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_gt,
  COMMUTATOR = < , NEGATOR = <= ,
  RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);

CREATE OPERATOR CLASS vector_ops
  DEFAULT FOR TYPE vector USING btree AS
  OPERATOR 1 < ,
  OPERATOR 2 <= ,
  OPERATOR 3 = ,
  OPERATOR 4 >= ,
  OPERATOR 5 > ,
  FUNCTION 1 vector_cmp(vector, vector);

-- halfvec

CREATE TYPE halfvec;

CREATE FUNCTION halfvec_in(cstring, oid, integer) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_in'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_out(halfvec) RETURNS cstring
  AS 'MODULE_PATHNAME', 'vdb_halfvec_out'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_typmod_in(cstring[]) RETURNS integer
  AS 'MODULE_PATHNAME', 'vdb_halfvec_typmod_in'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_recv(internal, oid, integer) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_recv'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_send(halfvec) RETURNS bytea
  AS 'MODULE_PATHNAME', 'vdb_halfvec_send'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE TYPE halfvec (
  INPUT = halfvec_in,
  OUTPUT = halfvec_out,
  TYPMOD_IN = halfvec_typmod_in,
  RECEIVE = halfvec_recv,
  SEND = halfvec_send,
  STORAGE = external
);

-- functions on halfvec

CREATE FUNCTION l2_distance(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_halfvec_l2_distance'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION inner_product(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_halfvec_inner_product'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION cosine_distance(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_halfvec_cosine_distance'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION l1_distance(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_halfvec_l1_distance'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_dims(halfvec) RETURNS integer
  AS 'MODULE_PATHNAME', 'vdb_halfvec_dims'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION l2_norm(halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_halfvec_norm'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION l2_normalize(halfvec) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_l2_normalize'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION binary_quantize(halfvec) RETURNS bit
  AS 'MODULE_PATHNAME', 'vdb_halfvec_binary_quantize'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION subvector(halfvec, integer, integer) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_subvector'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- what stands behind operators, operator classes and aggregates of halfvec

CREATE FUNCTION halfvec_add(halfvec, halfvec) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_add'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_sub(halfvec, halfvec) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_sub'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_mul(halfvec, halfvec) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_mul'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_concat(halfvec, halfvec) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_concat'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_lt(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_halfvec_lt'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_le(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_halfvec_le'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_eq(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_halfvec_eq'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_ne(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_halfvec_ne'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_ge(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_halfvec_ge'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_gt(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'vdb_halfvec_gt'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_cmp(halfvec, halfvec) RETURNS integer
  AS 'MODULE_PATHNAME', 'vdb_halfvec_cmp'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_l2_squared_distance(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_halfvec_l2_squared_distance'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_negative_inner_product(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_halfvec_negative_inner_product'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_spherical_distance(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'vdb_halfvec_spherical_distance'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_accum(double precision[], halfvec) RETURNS double precision[]
  AS 'MODULE_PATHNAME', 'vdb_halfvec_accum'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_avg(double precision[]) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_avg'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_combine(double precision[], double precision[]) RETURNS double precision[]
  AS 'MODULE_PATHNAME', 'vdb_vector_combine'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE AGGREGATE avg(halfvec) (
  SFUNC = halfvec_accum,
  STYPE = double precision[],
  FINALFUNC = halfvec_avg,
  COMBINEFUNC = halfvec_combine,
  INITCOND = '{0}',
  PARALLEL = SAFE
);

CREATE AGGREGATE sum(halfvec) (
  SFUNC = halfvec_add,
  STYPE = halfvec,
  COMBINEFUNC = halfvec_add,
  PARALLEL = SAFE
);

-- operators on halfvec

CREATE OPERATOR <-> (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = l2_distance, COMMUTATOR = '<->'
);
CREATE OPERATOR <#> (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_negative_inner_product, COMMUTATOR = '<#>'
);
CREATE OPERATOR <=> (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = cosine_distance, COMMUTATOR = '<=>'
);
CREATE OPERATOR <+> (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = l1_distance, COMMUTATOR = '<+>'
);
CREATE OPERATOR + (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_add, COMMUTATOR = +
);
CREATE OPERATOR - (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_sub
);
CREATE OPERATOR * (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_mul, COMMUTATOR = *
);
CREATE OPERATOR || (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_concat
);
CREATE OPERATOR < (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_lt,
  COMMUTATOR = > , NEGATOR = >= ,
  RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR <= (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_le,
  COMMUTATOR = >= , NEGATOR = > ,
  RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR = (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_eq,
  COMMUTATOR = = , NEGATOR = <> ,
  RESTRICT = eqsel, JOIN = eqjoinsel
);
CREATE OPERATOR <> (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_ne,
  COMMUTATOR = <> , NEGATOR = = ,
  RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR >= (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_ge,
  COMMUTATOR = <= , NEGATOR = < ,
  RESTRICT = scalargesel, JOIN = scalargejoinsel
);
CREATE OPERATOR > (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_gt,
  COMMUTATOR = < , NEGATOR = <= ,
  RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);

CREATE OPERATOR CLASS halfvec_ops
  DEFAULT FOR TYPE halfvec USING btree AS
  OPERATOR 1 < ,
  OPERATOR 2 <= ,
  OPERATOR 3 = ,
  OPERATOR 4 >= ,
  OPERATOR 5 > ,
  FUNCTION 1 halfvec_cmp(halfvec, halfvec);

-- casts

CREATE FUNCTION vector(vector, integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_enforce_typmod'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION array_to_vector(integer[], integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_from_array'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION array_to_vector(real[], integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_from_array'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION array_to_vector(double precision[], integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_from_array'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION array_to_vector(numeric[], integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_vector_from_array'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_to_float4(vector, integer, boolean) RETURNS real[]
  AS 'MODULE_PATHNAME', 'vdb_vector_to_float4'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec(halfvec, integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_enforce_typmod'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION array_to_halfvec(integer[], integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_from_array'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION array_to_halfvec(real[], integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_from_array'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION array_to_halfvec(double precision[], integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_from_array'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION array_to_halfvec(numeric[], integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_halfvec_from_array'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_to_float4(halfvec, integer, boolean) RETURNS real[]
  AS 'MODULE_PATHNAME', 'vdb_halfvec_to_float4'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION halfvec_to_vector(halfvec, integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'vdb_halfvec_to_vector'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vector_to_halfvec(vector, integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'vdb_vector_to_halfvec'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

-- Implicit and assignment as in pgvector. Because vector turns into real[] by itself, operators on
-- real[] would capture vector operators called with an array: never define any.
CREATE CAST (vector AS vector)
  WITH FUNCTION vector(vector, integer, boolean) AS IMPLICIT;
CREATE CAST (halfvec AS halfvec)
  WITH FUNCTION halfvec(halfvec, integer, boolean) AS IMPLICIT;
CREATE CAST (vector AS halfvec)
  WITH FUNCTION vector_to_halfvec(vector, integer, boolean) AS IMPLICIT;
CREATE CAST (halfvec AS vector)
  WITH FUNCTION halfvec_to_vector(halfvec, integer, boolean) AS ASSIGNMENT;
CREATE CAST (vector AS real[])
  WITH FUNCTION vector_to_float4(vector, integer, boolean) AS IMPLICIT;
CREATE CAST (halfvec AS real[])
  WITH FUNCTION halfvec_to_float4(halfvec, integer, boolean) AS ASSIGNMENT;
CREATE CAST (integer[] AS vector)
  WITH FUNCTION array_to_vector(integer[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (real[] AS vector)
  WITH FUNCTION array_to_vector(real[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (double precision[] AS vector)
  WITH FUNCTION array_to_vector(double precision[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (numeric[] AS vector)
  WITH FUNCTION array_to_vector(numeric[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (integer[] AS halfvec)
  WITH FUNCTION array_to_halfvec(integer[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (real[] AS halfvec)
  WITH FUNCTION array_to_halfvec(real[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (double precision[] AS halfvec)
  WITH FUNCTION array_to_halfvec(double precision[], integer, boolean) AS ASSIGNMENT;
CREATE CAST (numeric[] AS halfvec)
  WITH FUNCTION array_to_halfvec(numeric[], integer, boolean) AS ASSIGNMENT;

-- The index access method.

CREATE FUNCTION vdb.am_handler(internal) RETURNS index_am_handler
  AS 'MODULE_PATHNAME', 'vdb_am_handler'
  LANGUAGE C;
CREATE ACCESS METHOD vdb TYPE INDEX HANDLER vdb.am_handler;
COMMENT ON ACCESS METHOD vdb IS 'vector index: approximate nearest neighbours';

-- Each operator class's support function says which metric and element type it stands for.
CREATE FUNCTION vdb.opclass_vector_l2(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'vdb_opclass_vector_l2'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vdb.opclass_vector_ip(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'vdb_opclass_vector_ip'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vdb.opclass_vector_cosine(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'vdb_opclass_vector_cosine'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vdb.opclass_vector_l1(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'vdb_opclass_vector_l1'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vdb.opclass_halfvec_l2(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'vdb_opclass_halfvec_l2'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vdb.opclass_halfvec_ip(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'vdb_opclass_halfvec_ip'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vdb.opclass_halfvec_cosine(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'vdb_opclass_halfvec_cosine'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
CREATE FUNCTION vdb.opclass_halfvec_l1(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'vdb_opclass_halfvec_l1'
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;

CREATE OPERATOR CLASS vector_l2_ops DEFAULT
  FOR TYPE vector USING vdb AS
  OPERATOR 1 <-> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
  FUNCTION 1 vdb.opclass_vector_l2(internal);
CREATE OPERATOR CLASS vector_ip_ops
  FOR TYPE vector USING vdb AS
  OPERATOR 1 <#> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
  FUNCTION 1 vdb.opclass_vector_ip(internal);
CREATE OPERATOR CLASS vector_cosine_ops
  FOR TYPE vector USING vdb AS
  OPERATOR 1 <=> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
  FUNCTION 1 vdb.opclass_vector_cosine(internal);
CREATE OPERATOR CLASS vector_l1_ops
  FOR TYPE vector USING vdb AS
  OPERATOR 1 <+> (vector, vector) FOR ORDER BY pg_catalog.float_ops,
  FUNCTION 1 vdb.opclass_vector_l1(internal);
CREATE OPERATOR CLASS halfvec_l2_ops DEFAULT
  FOR TYPE halfvec USING vdb AS
  OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY pg_catalog.float_ops,
  FUNCTION 1 vdb.opclass_halfvec_l2(internal);
CREATE OPERATOR CLASS halfvec_ip_ops
  FOR TYPE halfvec USING vdb AS
  OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY pg_catalog.float_ops,
  FUNCTION 1 vdb.opclass_halfvec_ip(internal);
CREATE OPERATOR CLASS halfvec_cosine_ops
  FOR TYPE halfvec USING vdb AS
  OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY pg_catalog.float_ops,
  FUNCTION 1 vdb.opclass_halfvec_cosine(internal);
CREATE OPERATOR CLASS halfvec_l1_ops
  FOR TYPE halfvec USING vdb AS
  OPERATOR 1 <+> (halfvec, halfvec) FOR ORDER BY pg_catalog.float_ops,
  FUNCTION 1 vdb.opclass_halfvec_l1(internal);

-- The cache.
CREATE FUNCTION vdb.stat_cache(
    OUT shared boolean,             -- one for all sessions; false: this session's own
    OUT capacity bigint,            -- bytes
    OUT used bigint,                -- bytes
    OUT pinned bigint,              -- bytes in use by running searches
    OUT hits bigint,
    OUT misses bigint,
    OUT evictions bigint,
    OUT waits bigint,               -- for a frame that another session was reading
    OUT wait_time double precision, -- milliseconds
    OUT private_reads bigint,       -- frames read into a session's memory: the cache was all pinned
    OUT bytes_read bigint,
    OUT stats_reset timestamptz)
  AS 'MODULE_PATHNAME', 'vdb_stat_cache'
  LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE VIEW vdb.stat_cache AS SELECT * FROM vdb.stat_cache();
GRANT SELECT ON vdb.stat_cache TO PUBLIC;
CREATE FUNCTION vdb.reset_stat_cache() RETURNS void
  AS 'MODULE_PATHNAME', 'vdb_reset_stat_cache'
  LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION vdb.reset_stat_cache() FROM PUBLIC;

-- Master keys that were generated because no setting names any: read and written by the access
-- method alone. Row security keeps out pg_read_all_data, too. Never part of a dump.
CREATE TABLE vdb.master_key (
  id text NOT NULL,
  key bytea NOT NULL,
  created timestamptz NOT NULL
) USING heap;
ALTER TABLE vdb.master_key ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON TABLE vdb.master_key FROM PUBLIC;
COMMENT ON TABLE vdb.master_key IS 'generated master keys of vdb indexes; superusers only';

CREATE FUNCTION vdb.rotate_master_key(OUT index regclass, OUT key_id text, OUT reason text)
  RETURNS SETOF record
  AS 'MODULE_PATHNAME', 'vdb_rotate_master_key'
  LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vdb.rotate_master_key() FROM PUBLIC;
COMMENT ON FUNCTION vdb.rotate_master_key() IS
  'brings every vdb index of the database under the current master key; returns those it could not';

-- Seeing inside indexes. All but vdb.check read pages alone and need no key.

-- NULL while another session holds the index exclusively. strict: an index that cannot be looked
-- into is an error, else NULL and a WARNING.
CREATE FUNCTION vdb.index_stats(
    index regclass,
    strict boolean DEFAULT true,
    OUT metric text,                -- l2, ip, cosine, l1
    OUT element text,               -- vector, halfvec
    OUT dimensions integer,
    OUT code_bits integer,
    OUT store text,
    OUT encrypted boolean,
    OUT master_key_id text,         -- that wraps the index's data key; NULL: it has none
    OUT generation bigint,          -- grows when rows move between delta and segments
    OUT rows bigint,                -- that a search can find: without tombstones
    OUT lists bigint,
    OUT segments bigint,
    OUT delta_rows bigint,          -- of rows: fresh, in no list
    OUT tombstones bigint,          -- dead rows whose codes are still in lists
    OUT size_bytes bigint,          -- of the relation
    OUT first_code_bytes bigint,    -- region A: 1-bit codes
    OUT ex_code_bytes bigint,       -- region B: the other bits
    OUT vector_bytes bigint,        -- region C: full vectors
    OUT routing_bytes bigint,       -- centroids
    OUT tid_bytes bigint,
    OUT delta_bytes bigint,
    OUT objects bigint,
    OUT recall_target real,         -- that the build calibrated for
    OUT theta real,                 -- the probing rule; this and the following are NULL without lists
    OUT probes real,                -- lists that a search reads, mean of the calibration queries
    OUT probes_p80 real,            -- their 80th percentile
    OUT measured_recall real,       -- of the calibration queries, at ten rows
    OUT calibration_queries bigint)
  AS 'MODULE_PATHNAME', 'vdb_index_stats'
  LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;  -- a subtransaction
COMMENT ON FUNCTION vdb.index_stats(regclass, boolean) IS 'what a vdb index is and holds';

CREATE VIEW vdb.stat_index AS
  SELECT n.nspname AS schemaname, t.relname AS tablename, c.relname AS indexname,
         c.oid AS indexrelid, s.*
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
  JOIN pg_catalog.pg_am a ON a.oid = c.relam AND a.amname = 'vdb'
  JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL vdb.index_stats(c.oid, strict => false) s
  WHERE i.indisvalid AND NOT pg_catalog.pg_is_other_temp_schema(c.relnamespace)
    AND NOT (c.relpersistence <> 'p' AND pg_catalog.pg_is_in_recovery());
GRANT SELECT ON vdb.stat_index TO PUBLIC;
COMMENT ON VIEW vdb.stat_index IS 'the vdb indexes of this database that can be read here';

CREATE FUNCTION vdb.index_objects(
    index regclass,
    OUT segment integer,
    OUT number integer,             -- of the index's objects, from 0
    OUT kind text,                  -- routing, chunk
    OUT id text,                    -- BLAKE3 of the stored bytes, hexadecimal
    OUT stored_bytes bigint,
    OUT plain_bytes bigint,
    OUT frames bigint,
    OUT lists bigint,
    OUT rows bigint,                -- dead ones included
    OUT encrypted boolean,
    OUT head bytea)                 -- its first stored bytes; a document begins with d9d9f7
  RETURNS SETOF record
  AS 'MODULE_PATHNAME', 'vdb_index_objects'
  LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vdb.index_objects(regclass) IS
  'the objects a vdb index is made of; for its owner and pg_monitor';
CREATE FUNCTION vdb.check(
    index regclass,
    "full" boolean DEFAULT false,
    OUT objects bigint,
    OUT frames bigint,
    OUT bytes bigint,               -- stored bytes of the objects
    OUT lists bigint,
    OUT rows bigint,                -- in lists, dead ones included
    OUT dead bigint,
    OUT delta_rows bigint)
  AS 'MODULE_PATHNAME', 'vdb_check'
  LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vdb.check(regclass, boolean) IS
  'ERROR XX002 unless a vdb index is sound; full: every byte of it, and against its table';

-- Agrees with the index that CREATE INDEX makes under the same vdb.chunk_size.
CREATE FUNCTION vdb.estimate(
    rows bigint,
    dims integer,
    code_bits integer DEFAULT 5,
    element text DEFAULT 'vector',
    lists integer DEFAULT 0,
    store name DEFAULT 'local',
    store_vectors boolean DEFAULT NULL,  -- as CREATE INDEX: yes in a store, no locally
    OUT index_bytes bigint,
    OUT first_pass_bytes bigint,    -- that should stay in the cache: 1-bit codes and routing
    OUT routing_bytes bigint,       -- of the routing object; twice that in the cache
    OUT build_memory_bytes bigint,  -- with which a build spills nothing and cuts no sample short
    OUT lists bigint,
    OUT objects bigint,
    OUT insert_bytes integer,       -- that a fresh row takes
    OUT store_bytes bigint)         -- of objects in the store; 0: they are in the index
  AS 'MODULE_PATHNAME', 'vdb_estimate'
  LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION vdb.estimate(bigint, integer, integer, text, integer, name, boolean) IS
  'size and memory of a vdb index before it is built';

-- The session's last search through a vdb index, when its scan has ended; NULLs before the first.
CREATE FUNCTION vdb.last_search(
    OUT index regclass,
    OUT rounds bigint,              -- 1, and one more each time more rows were wanted than looked for
    OUT lists_probed bigint,
    OUT codes_scanned bigint,       -- 1-bit codes, of lists and delta
    OUT survivors bigint,           -- whose other bits were read
    OUT exact_read bigint,          -- rows read for their distance, from table or chunk
    OUT rejected bigint,            -- rows read that the snapshot does not see
    OUT late_rows bigint,           -- found nearer than one already returned: strict_order drops them
    OUT rows_returned bigint,
    OUT store_rounds bigint,        -- times it waited for a remote store
    OUT store_requests bigint,      -- that it sent to it, but for retries
    OUT store_bytes bigint,         -- that came back
    OUT cache_hits bigint,          -- frames and images that were in the cache when they were wanted
    OUT cache_misses bigint,        -- that it fetched, or waited for another session to
    OUT ranking_time double precision,   -- ms: opening the index, ranking its lists
    OUT scanning_time double precision,  -- of codes
    OUT fetching_time double precision,  -- of what was not in the cache, from store or pages
    OUT exact_time double precision,     -- exact distances, reading the rows included
    OUT total_time double precision)     -- the sum, without what happened between rows
  AS 'MODULE_PATHNAME', 'vdb_last_search'
  LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION vdb.last_search() IS 'figures of this session''s last search through a vdb index';

CREATE FUNCTION vdb.prewarm(
    index regclass,
    what text DEFAULT 'codes',      -- routing; codes: routing and codes; everything: vectors, too
    OUT objects bigint,
    OUT frames bigint,
    OUT bytes bigint,               -- of plaintext that were looked for, in the cache or not
    OUT milliseconds double precision)
  AS 'MODULE_PATHNAME', 'vdb_prewarm'
  LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vdb.prewarm(regclass, text) IS 'brings a vdb index into the cache; for its owner';

CREATE FUNCTION vdb.chunk_cid(index regclass, number integer) RETURNS text
  AS 'MODULE_PATHNAME', 'vdb_chunk_cid'
  LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vdb.chunk_cid(regclass, integer) IS
  'the S5 CID of an object of an index, numbered as in vdb.index_objects: whoever has it can read that object; for the index''s owner';

-- Remote stores: CREATE SERVER ... FOREIGN DATA WRAPPER vdb_store OPTIONS (type ...), secrets in
-- CREATE USER MAPPING. A server option aims the backend at a URL, so only superusers may make
-- servers until they grant USAGE on the wrapper.

CREATE FUNCTION vdb.store_validator(options text[], catalog oid) RETURNS void
  AS 'MODULE_PATHNAME', 'vdb_store_validator'
  LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE FOREIGN DATA WRAPPER vdb_store VALIDATOR vdb.store_validator;
COMMENT ON FOREIGN DATA WRAPPER vdb_store IS 'object stores of vdb indexes: S5, S3, directories';

CREATE FUNCTION vdb.store_check(
    server name,
    OUT step text,                  -- version (S5), write, size, range, verify, remove
    OUT ok boolean,                 -- steps after one that failed are left out, but for remove
    OUT milliseconds double precision,
    OUT message text)
  RETURNS SETOF record
  AS 'MODULE_PATHNAME', 'vdb_store_check'
  LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vdb.store_check(name) IS
  'writes, reads, verifies and removes a small object in a store, as the current user';

-- What all sessions have asked of the stores behind HTTP since the server started; without preload
-- what this session has.
CREATE FUNCTION vdb.stat_store(
    OUT server name,
    OUT breaker text,               -- closed: it answers; open, probing: it did not
    OUT requests bigint,
    OUT received_bytes bigint,
    OUT sent_bytes bigint,
    OUT errors jsonb,               -- how many of which kind
    OUT retries bigint,
    OUT hedges bigint,              -- requests sent a second time because they took long
    OUT hedges_won bigint,
    OUT refetches bigint,           -- because bytes did not verify
    OUT not_asked bigint,           -- operations that failed at once while the breaker was open
    OUT p50 double precision,       -- of ranged reads, milliseconds
    OUT p95 double precision,
    OUT p99 double precision)
  RETURNS SETOF record
  AS 'MODULE_PATHNAME', 'vdb_stat_store'
  LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
CREATE VIEW vdb.stat_store AS SELECT * FROM vdb.stat_store();
GRANT SELECT ON vdb.stat_store TO PUBLIC;

-- The ledger: a row for every object in a remote store, committed before the object is sent and
-- removed after the object has been. Written by background workers and vdb.gc() alone; like
-- vdb.master_key no part of a dump, and for superusers only.
CREATE TABLE vdb.object (
  id bytea NOT NULL,              -- BLAKE3 of the stored bytes
  server oid NOT NULL,            -- of the store
  owner oid NOT NULL,             -- whose user mapping it was stored with
  database oid NOT NULL,          -- that stored it; another one's in a copy made of a template
  index uuid NOT NULL,            -- of the generation of an index: each build makes one
  name text NOT NULL,             -- in the store
  size bigint NOT NULL,           -- stored bytes
  builder xid8 NOT NULL,          -- the (sub)transaction that publishes it
  created timestamptz NOT NULL,
  unreferenced_since timestamptz, -- when vdb.gc() first found that no index uses it
  unreferenced_lsn pg_lsn,        -- which standbys must have replayed before it is removed
  CONSTRAINT object_pkey PRIMARY KEY (id, server)
) USING heap;
ALTER TABLE vdb.object ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON TABLE vdb.object FROM PUBLIC;
COMMENT ON TABLE vdb.object IS 'ledger of the objects of vdb indexes in remote stores';

CREATE TABLE vdb.store_owner (
  server oid NOT NULL,
  prefix text NOT NULL,           -- of the names of this database's objects
  seed bytea NOT NULL,            -- secret: of its key pair in an S5 node's registry
  token bytea,                    -- what the owner record in the store holds
  pending bytea,                  -- or, after a crash, may hold
  name text NOT NULL,             -- of the server: pg_upgrade keeps it, and not its oid
  cluster bigint NOT NULL,        -- system identifier of the cluster in which `server` is its oid
  built_as oid NOT NULL,          -- its oid in the cluster of the prefix, as on indexes' pages
  CONSTRAINT store_owner_pkey PRIMARY KEY (server, prefix)
) USING heap;
ALTER TABLE vdb.store_owner ENABLE ROW LEVEL SECURITY;
REVOKE ALL ON TABLE vdb.store_owner FROM PUBLIC;
COMMENT ON TABLE vdb.store_owner IS 'what this database last wrote into its owner records';

-- The mirror: what the manifest of each index in a remote store says, for people; nothing is read
-- from here. Written by background workers when a build has committed, mended by vdb.gc().
CREATE TABLE vdb.manifest (
  indexrelid oid NOT NULL,
  index uuid NOT NULL,            -- of the generation of the index
  epoch bigint NOT NULL,
  cid text NOT NULL,              -- of the manifest
  parent text,                    -- CID of the one that it replaces
  dimensions integer NOT NULL,
  metric text NOT NULL,           -- l2, ip, cosine, l1
  element_type text NOT NULL,     -- vector, halfvec
  chunk_size integer NOT NULL,
  total_vectors bigint NOT NULL,  -- when it was published
  lists bigint NOT NULL,
  created timestamptz NOT NULL,
  CONSTRAINT manifest_pkey PRIMARY KEY (indexrelid)
) USING heap;
CREATE TABLE vdb.chunk (
  indexrelid oid NOT NULL,
  number integer NOT NULL,        -- from 0, in order of list
  id text NOT NULL,               -- BLAKE3 of the stored bytes, hexadecimal
  cid text NOT NULL,
  vector_count bigint NOT NULL,
  byte_size bigint NOT NULL,      -- stored
  first_list bigint NOT NULL,
  last_list bigint NOT NULL,
  CONSTRAINT chunk_pkey PRIMARY KEY (indexrelid, number)
) USING heap;
ALTER TABLE vdb.manifest ENABLE ROW LEVEL SECURITY;
ALTER TABLE vdb.chunk ENABLE ROW LEVEL SECURITY;
CREATE POLICY owner ON vdb.manifest FOR SELECT USING (pg_catalog.pg_has_role(
  (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = indexrelid), 'USAGE'));
CREATE POLICY owner ON vdb.chunk FOR SELECT USING (pg_catalog.pg_has_role(
  (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = indexrelid), 'USAGE'));
GRANT SELECT ON vdb.manifest, vdb.chunk TO PUBLIC;
COMMENT ON TABLE vdb.manifest IS 'manifests of the indexes in remote stores; an index''s owner sees its row';
COMMENT ON TABLE vdb.chunk IS 'chunks of the indexes in remote stores; an index''s owner sees its rows';

CREATE FUNCTION vdb.manifest(index regclass) RETURNS jsonb
  AS 'MODULE_PATHNAME', 'vdb_manifest'
  LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vdb.manifest(regclass) IS
  'the manifest of a vdb index, from its pages; for its owner';

CREATE FUNCTION vdb.gc(
    dry_run boolean DEFAULT false,
    OUT object text,                -- its name in the store
    OUT server name,
    OUT action text,                -- removed, kept, would remove, disabled
    OUT reason text)
  RETURNS SETOF record
  AS 'MODULE_PATHNAME', 'vdb_gc'
  LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vdb.gc(boolean) FROM PUBLIC;
COMMENT ON FUNCTION vdb.gc(boolean) IS
  'removes from remote stores the objects that nothing needs any more';

CREATE FUNCTION vdb.adopt(server name) RETURNS void
  AS 'MODULE_PATHNAME', 'vdb_adopt'
  LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vdb.adopt(name) FROM PUBLIC;
COMMENT ON FUNCTION vdb.adopt(name) IS
  'makes this database the one that collects garbage in a store, whoever did before';

CREATE FUNCTION vdb.adopt(server name, database oid) RETURNS void
  AS 'MODULE_PATHNAME', 'vdb_adopt_database'
  LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vdb.adopt(name, oid) FROM PUBLIC;
COMMENT ON FUNCTION vdb.adopt(name, oid) IS
  'lets this database purge the objects of a database that was dropped from a store that can list';

CREATE FUNCTION vdb.purge(
    server name,
    forget boolean DEFAULT false,   -- the ledger's rows alone, for a store that is gone
    OUT object text,
    OUT store name,
    OUT action text,                -- removed, kept, disabled, forgotten
    OUT reason text)
  RETURNS SETOF record
  AS 'MODULE_PATHNAME', 'vdb_purge'
  LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vdb.purge(name, boolean) FROM PUBLIC;
COMMENT ON FUNCTION vdb.purge(name, boolean) IS
  'removes all objects of this database from a store that none of its indexes uses';

CREATE FUNCTION vdb.purge(
    server name,
    database oid,
    OUT object text,
    OUT store name,
    OUT action text,                -- removed, kept, disabled
    OUT reason text)
  RETURNS SETOF record
  AS 'MODULE_PATHNAME', 'vdb_purge_database'
  LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vdb.purge(name, oid) FROM PUBLIC;
COMMENT ON FUNCTION vdb.purge(name, oid) IS
  'removes all objects of a database that was dropped from a store that can list';
