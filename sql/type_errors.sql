-- Every error of the types with its SQLSTATE, text and detail.

CREATE FUNCTION error_of(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  EXECUTE command;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END
$$;

\pset format unaligned
\pset tuples_only on

-- text
SELECT type || ' ' || text, error_of(format('SELECT %L::%s', text, type))
  FROM unnest(ARRAY['vector', 'halfvec']) type,
       unnest(ARRAY['', ' ', '1,2', '{1}', '(1)', '[', '[1', '[1,', '[1,]', '[,1]', '[1,,2]', '[1 2]', '[a]', '[1e]', '[''1'']',
                    '[]', '[ ]', '[1]]', '[1] 2', '[1],', '[nan]', '[-NaN]', '[inf]', '[1,-Infinity]',
                    '[4e38]', '[1, -4e38 ]', '[1e400]', '[1e-400]']) WITH ORDINALITY t(text, n)
  ORDER BY type DESC, n;
SELECT text, error_of(format('SELECT %L::halfvec', text)) FROM unnest(ARRAY['[65519]', '[65520]', '[-1e5,1]', '[1e-30]']) text;
SELECT type, error_of(format('SELECT (''['' || repeat(''1,'', %s) || ''1]'')::%s', commas, type))
  FROM unnest(ARRAY['vector', 'halfvec']) type, unnest(ARRAY[15999, 16000, 100000]) commas;
SELECT error_of(format('SELECT %L::vector', '[' || repeat('1,', 16001) || 'x]'));

-- type modifier
SELECT declaration, error_of(format('SELECT NULL::%s', declaration))
  FROM unnest(ARRAY['vector(1)', 'vector(16000)', 'vector(0)', 'vector(-1)', 'vector(16001)', 'vector(1,2)', 'vector(a)',
                    'halfvec(16000)', 'halfvec(0)', 'halfvec(16001)', 'halfvec(1,2)']) declaration;
SELECT error_of('SELECT ''[1,2]''::vector(3)'), error_of('SELECT ''[1,2]''::halfvec(1)');

-- two vectors of different dimension
SELECT type || ' ' || op, error_of(format('SELECT ''[1,2]''::%s %s ''[3]''::%s', type, op, type))
  FROM unnest(ARRAY['vector', 'halfvec']) type, unnest(ARRAY['<->', '<#>', '<=>', '<+>', '+', '-', '*', '||', '=']) WITH ORDINALITY t(op, n)
  ORDER BY type DESC, n;
SELECT error_of('SELECT vector_l2_squared_distance(''[1,2]'', ''[3]'')'), error_of('SELECT vector_spherical_distance(''[1,2]'', ''[3]'')');

-- limits of functions
SELECT error_of('SELECT array_agg(1)::vector || ''[1]'' FROM generate_series(1, 16000)');
SELECT error_of('SELECT array_agg(1)::halfvec || ''[1]'' FROM generate_series(1, 16000)');
SELECT call, error_of('SELECT ' || call)
  FROM unnest(ARRAY['subvector(''[1]''::vector, 1, 0)', 'subvector(''[1]''::halfvec, 2, 1)',
                    '''[3e38]''::vector + ''[3e38]''', '''[1e-30]''::vector * ''[1e-30]''',
                    '''[6e4]''::halfvec * ''[2]''', '''[1e-5]''::halfvec * ''[1e-5]''']) call;

-- arrays
SELECT call, error_of('SELECT ' || call)
  FROM unnest(ARRAY['''{}''::int[]::vector', 'ARRAY[[1]]::vector', 'ARRAY[1,NULL]::vector', '''{NaN}''::float8[]::vector',
                    '''{-inf}''::float4[]::halfvec', '''{1e39}''::numeric[]::vector', '''{1e39}''::float8[]::vector', '''{1e39}''::float8[]::halfvec',
                    '''{70000}''::int[]::halfvec', '''[70000]''::vector::halfvec', 'ARRAY[1,2]::vector(3)']) call;
-- the C functions check what SQL's declarations rule out
CREATE FUNCTION from_text_array(text[], integer, boolean) RETURNS vector AS '$libdir/vdb_ext', 'vdb_vector_from_array' LANGUAGE C STRICT;
SELECT error_of('SELECT from_text_array(''{1}'', -1, false)');
DROP FUNCTION from_text_array;

-- states of aggregates
SELECT call, error_of('SELECT ' || call)
  FROM unnest(ARRAY['vector_accum(''{}'', ''[1]'')', 'vector_accum(''{{1,2}}'', ''[1]'')', 'vector_accum(''{1,NULL}'', ''[1]'')',
                    'vector_accum(''{1,2,3}'', ''[1]'')', 'vector_avg(''{}'')', 'vector_avg(''{1}'')', 'vector_avg(''{1,NaN}'')', 'vector_avg(''{1,1e300}'')',
                    'halfvec_avg(''{1,65520}'')', 'vector_combine(''{1,2}'', ''{1,2,3}'')', 'vector_combine(''{1,1e308}'', ''{1,1e308}'')',
                    'vector_combine(''{}'', ''{}'')']) call;
-- more elements than a vector can have
SELECT error_of('SELECT vector_avg(array_fill(1::float8, ARRAY[16002]))');

DROP FUNCTION error_of;
