CREATE FUNCTION vdb_floor_handler(internal) RETURNS index_am_handler
  AS 'MODULE_PATHNAME', 'vdb_floor_handler' LANGUAGE C;
CREATE ACCESS METHOD vdb_floor TYPE INDEX HANDLER vdb_floor_handler;
CREATE OPERATOR CLASS vector_floor_ops DEFAULT FOR TYPE vector USING vdb_floor AS
  OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops;
