#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "random_steps.h"

namespace nomiqon::simulation {

/// The money functions of a real database, driven step by step as the model is. Work goes through the ledger
/// module's own wire code; all else by the functions that the gateway and the API call. The database's clock
/// is the last `Advance`.
class SqlLedger {
  public:
    /// Of a database with all migrations applied; replaces its clock. Throws what pqxx throws, here and
    /// below.
    SqlLedger(const std::string& owner_url, Time start);
    ~SqlLedger();
    SqlLedger(const SqlLedger&) = delete;
    SqlLedger& operator=(const SqlLedger&) = delete;

    void set_time(Time now);
    [[nodiscard]] std::expected<WorkAnswers, ModelLedger::NotYet> work(const Work& work);
    [[nodiscard]] bool renew_lease(const std::string& gateway, std::chrono::seconds lease);
    int expire();
    void forget_tokens();
    /// Calls nomiqon.admin_<function>.
    Done admin(const std::string& function, const std::string& arguments);

    // Rows, as text: `name of the row` → `its values`, to be compared with `rows_of` the model.
    using Rows = std::map<std::string, std::string>;
    [[nodiscard]] Rows wallets();
    [[nodiscard]] Rows days();
    [[nodiscard]] Rows tokens();
    [[nodiscard]] Rows reservations();
    [[nodiscard]] Rows endings();
    [[nodiscard]] Rows transfers();

  private:
    struct Connection;
    Rows rows(const std::string& query);
    std::unique_ptr<Connection> connection_;
};

// The model's rows in the same words.
[[nodiscard]] SqlLedger::Rows wallets_of(const ModelLedger& model);
[[nodiscard]] SqlLedger::Rows days_of(const ModelLedger& model);
[[nodiscard]] SqlLedger::Rows tokens_of(const ModelLedger& model);
[[nodiscard]] SqlLedger::Rows reservations_of(const ModelLedger& model);
[[nodiscard]] SqlLedger::Rows endings_of(const ModelLedger& model);
[[nodiscard]] SqlLedger::Rows transfers_of(const ModelLedger& model);

}  // namespace nomiqon::simulation
