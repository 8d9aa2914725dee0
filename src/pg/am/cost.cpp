/// amcostestimate: what a search costs before its first row and for each row, from the index's own
/// figures.
#include <algorithm>
#include <cmath>

#include "pg/am/handler.h"
#include "pg/am/meta.h"
#include "pg/am/settings.h"
#include "pg/compat.h"
#include "pg/guard.h"
#include "quant/code_layout.h"

extern "C" {
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
}

namespace vdb::pg {

namespace {

// A 1-bit code of 512 dimensions takes about 2 ns to scan, ranking a list about 8 ns, where
// PostgreSQL's cpu_operator_cost stands for about 100 ns of work.
constexpr double kOperatorsPerCode = 1.0 / 50 / 512;  // a dimension
constexpr double kOperatorsPerList = 1.0 / 12 / 512;  // a dimension
// Exact distances that a search for ten reads beyond the rows it returns.
constexpr double kExtraExactRows = 5;
// Reading a row for its exact distance, out of order and beside the codes, measured against the
// price of a random page: 4 us a row, both cached, where a sequential scan takes 0.15.
constexpr double kHeapReadFactor = 4;
// What a row takes besides, however many share a page: reading it twice, sorting candidates, and
// vectors that lie elsewhere. A full sort must not look cheap because a page has a hundred rows.
constexpr double kOperatorsPerRow = 200;
// Delta rows are estimated row by row, not in blocks of 32, and each is copied and kept.
constexpr double kDeltaRowFactor = 8;
constexpr double kOperatorsPerDeltaRow = 0.5;

}  // namespace
}  // namespace vdb::pg

extern "C" void vdb_am_costestimate(PlannerInfo* root, IndexPath* path, double loop_count,
                                    Cost* startup_cost, Cost* total_cost, Selectivity* selectivity,
                                    double* correlation, double* pages) {
  using namespace vdb::pg;
  // The index answers ORDER BY distance and nothing else.
  if (path->indexorderbys == NIL) {
    compat::Forbid(&path->path);
    *startup_cost = *total_cost = get_float8_infinity();
    *selectivity = 1;
    *correlation = 0;
    *pages = 0;
    return;
  }
  GenericCosts costs = {};
  genericcostestimate(root, path, loop_count, &costs);

  Relation index = index_open(path->indexinfo->indexoid, NoLock);
  const MetaPage meta = ReadMeta(index);
  index_close(index, NoLock);

  const double dim = vdb::quant::PaddedDim(meta.dim);
  double rows = meta.mean_rows;
  if (settings.probes > 0 && meta.segment_lists > 0) {
    const double lists = std::min<double>(settings.probes, static_cast<double>(meta.segment_lists));
    rows = lists * static_cast<double>(meta.segment_rows) / static_cast<double>(meta.segment_lists);
  }
  double delta_pages = 0;
  for (const DeltaStripe& stripe : meta.stripes) delta_pages += stripe.pages;
  const double delta_rows =
      delta_pages * kPagePayload /
      (sizeof(ItemPointerData) +
       vdb::quant::CodeLayout{vdb::quant::PaddedDim(meta.dim), 1}.first_bytes());

  const double code_cost = cpu_operator_cost * dim * kOperatorsPerCode;
  const double exact_cost = cpu_tuple_cost + cpu_operator_cost * (1 + dim / 256);
  *startup_cost =
      rows * code_cost +
      delta_rows * (code_cost * kDeltaRowFactor + cpu_operator_cost * kOperatorsPerDeltaRow) +
      static_cast<double>(meta.segment_lists) * dim * kOperatorsPerList * cpu_operator_cost +
      kExtraExactRows * (exact_cost + costs.spc_random_page_cost) + delta_pages * cpu_tuple_cost;
  // Rows beyond those that the first probes bring make the search go on: by the end, every code was
  // scanned, about twice with the rounds before. The scan reads each row's heap page for its exact
  // distance; what the executor pays for reading it again is added by the planner.
  const double tuples = std::max(1.0, path->indexinfo->tuples);
  const RelOptInfo* table = path->indexinfo->rel;
  const double pages_a_row = std::min(1.0, table->pages / std::max(1.0, table->tuples));
  const double row_cost = exact_cost + 2 * code_cost +
                          std::max(kHeapReadFactor * costs.spc_random_page_cost * pages_a_row,
                                   kOperatorsPerRow * cpu_operator_cost);
  *total_cost = *startup_cost + tuples * row_cost;
  *selectivity = 1;
  *correlation = 0;
  *pages = costs.numIndexPages;
}
