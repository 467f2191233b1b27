#include "nomiqon/ledger/migrations.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "support/postgres_fixture.h"

namespace nomiqon {
namespace {

using test::query_value;

constexpr Duration limit{10'000};

constexpr Migration first{.number = 1, .name = "0001_first", .sql = "CREATE TABLE nomiqon.a (x int);"};
constexpr Migration second{.number = 2, .name = "0002_second", .sql = "CREATE TABLE nomiqon.b (x int);"};

class Migrations : public test::DatabaseTest {};

TEST_F(Migrations, EachRunsOnceAndIsRecorded) {
    const std::vector<Migration> one{first};
    const std::vector<Migration> two{first, second};
    const auto start = migrate(owner_url(), one, limit);
    ASSERT_TRUE(start) << start.error();
    EXPECT_EQ(start->applied, std::vector<std::string>{"0001_first"});
    const auto upgrade = migrate(owner_url(), two, limit);
    ASSERT_TRUE(upgrade) << upgrade.error();
    EXPECT_EQ(upgrade->applied, std::vector<std::string>{"0002_second"});
    const auto again = migrate(owner_url(), two, limit);
    ASSERT_TRUE(again) << again.error();
    EXPECT_TRUE(again->applied.empty());
    EXPECT_EQ(again->version, 2);
    EXPECT_EQ(
        value("SELECT string_agg(number || name, ',' ORDER BY number) FROM nomiqon.schema_migrations WHERE "
              "length(sha256) = 64 AND applied_at <= now() AND gateway_version <> ''"),
        "10001_first,20002_second");
}

TEST_F(Migrations, AChangedOneIsRefusedByName) {
    ASSERT_TRUE(migrate(owner_url(), std::vector<Migration>{first, second}, limit));
    Migration changed = second;
    changed.sql = "CREATE TABLE nomiqon.b (x bigint);";
    const auto refused = migrate(owner_url(), std::vector<Migration>{first, changed}, limit);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().starts_with("migration 0002_second was changed after it was applied"))
        << refused.error();
}

TEST_F(Migrations, ANewerDatabaseIsRefused) {
    ASSERT_TRUE(migrate(owner_url(), std::vector<Migration>{first, second}, limit));
    const auto refused = migrate(owner_url(), std::vector<Migration>{first}, limit);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().starts_with("the database is newer than this gateway")) << refused.error();
}

TEST_F(Migrations, GapsAreRefused) {
    EXPECT_FALSE(migrate(owner_url(), std::vector<Migration>{second}, limit));
    ASSERT_TRUE(migrate(owner_url(), std::vector<Migration>{first, second}, limit));
    value("DELETE FROM nomiqon.schema_migrations WHERE number = 1");
    const auto refused = migrate(owner_url(), std::vector<Migration>{first, second}, limit);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().find("0001_first before it is not"), std::string::npos) << refused.error();
}

TEST_F(Migrations, OfAFailingOneNothingStaysAndTheErrorNamesFileAndLine) {
    constexpr Migration broken{
        .number = 2,
        .name = "0002_broken",
        .sql = "CREATE TABLE nomiqon.b (x int);\n-- größer\nSELECT nothing_like_it();\n"};
    const auto failed = migrate(owner_url(), std::vector<Migration>{first, broken}, limit);
    ASSERT_FALSE(failed);
    EXPECT_TRUE(
        failed.error().starts_with("migration 0002_broken.sql failed, line 3: function nothing_like_it()"))
        << failed.error();
    EXPECT_EQ(value("SELECT count(*) FROM nomiqon.schema_migrations"), "1");
    EXPECT_EQ(value("SELECT to_regclass('nomiqon.b') IS NULL"), "t");
    EXPECT_TRUE(migrate(owner_url(), std::vector<Migration>{first, second}, limit));
}

TEST_F(Migrations, AnErrorAtRunTimeNamesTheStatement) {
    constexpr Migration broken{.number = 1, .name = "0001_broken", .sql = "SELECT 1;\nSELECT 1 / 0;"};
    const auto failed = migrate(owner_url(), std::vector<Migration>{broken}, limit);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error(), "migration 0001_broken.sql failed, statement 2: division by zero [22012]");
}

TEST_F(Migrations, OneThatEndsItsOwnTransactionOrCopiesIsRefused) {
    constexpr Migration commits{.number = 1, .name = "0001_commits", .sql = "COMMIT; BEGIN;"};
    const auto refused = migrate(owner_url(), std::vector<Migration>{commits}, limit);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().find("ends its own transaction"), std::string::npos) << refused.error();
    constexpr Migration copies{
        .number = 1, .name = "0001_copies", .sql = "COPY pg_class TO STDOUT; SELECT 1;"};
    EXPECT_FALSE(migrate(owner_url(), std::vector<Migration>{copies}, limit));
}

TEST_F(Migrations, SettingsOfOneDoNotReachTheNext) {
    constexpr Migration sets{
        .number = 1, .name = "0001_sets", .sql = "SET search_path = public; SET ROLE pg_monitor;"};
    constexpr Migration makes{.number = 2, .name = "0002_makes", .sql = "CREATE TABLE b (x int);"};
    const auto done = migrate(owner_url(), std::vector<Migration>{sets, makes}, limit);
    // The role of the first may not write its own row: it fails as a whole.
    ASSERT_FALSE(done);
    constexpr Migration path{.number = 1, .name = "0001_path", .sql = "SET search_path = public;"};
    const auto second_try = migrate(owner_url(), std::vector<Migration>{path, makes}, limit);
    ASSERT_TRUE(second_try) << second_try.error();
    EXPECT_EQ(value("SELECT to_regclass('nomiqon.b') IS NOT NULL"), "t");
}

TEST_F(Migrations, GatewaysThatStartTogetherAllSucceed) {
    constexpr Migration slow{
        .number = 2, .name = "0002_slow", .sql = "SELECT pg_sleep(0.2); CREATE TABLE nomiqon.b (x int);"};
    std::vector<std::thread> gateways;
    std::vector<std::string> problems(8);
    std::atomic<std::size_t> applied{0};
    for (std::size_t i = 0; i < problems.size(); ++i) {
        gateways.emplace_back([&, i] {
            const auto done = migrate(owner_url(), std::vector<Migration>{first, slow}, limit);
            if (done) applied += done->applied.size();
            const auto roles = ensure_roles(owner_url(), "");
            problems[i] = !done ? done.error() : !roles ? roles.error() : "";
        });
    }
    for (std::thread& gateway : gateways)
        gateway.join();
    EXPECT_EQ(problems, std::vector<std::string>(8));
    EXPECT_EQ(applied, 2U);
}

TEST_F(Migrations, TheEmbeddedOnesApplyToAnEmptyDatabase) {
    const auto done = migrate(owner_url(), embedded_migrations(), limit);
    ASSERT_TRUE(done) << done.error();
    EXPECT_EQ(done->applied.size(), embedded_migrations().size());
    const auto roles = ensure_roles(owner_url(), "");
    ASSERT_TRUE(roles) << roles.error();
    EXPECT_TRUE(roles->warnings.empty());
}

TEST_F(Migrations, ErrorsOfTheUrlKeepItsPassword) {
    for (const char* url :
         {"postgresql://u:geheim@/x?geheim", "host=127.0.0.1 port=1 password=geheim", "geheim"}) {
        const auto refused = migrate(url, embedded_migrations(), limit);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().find("geheim"), std::string::npos) << refused.error();
    }
}

/// What a runtime role may and may not reach.
constexpr Migration functions{.number = 1, .name = "0001_functions", .sql = R"(
CREATE TABLE nomiqon.money (x int);
CREATE FUNCTION nomiqon.internal_secret() RETURNS int LANGUAGE sql AS 'SELECT 2';
CREATE FUNCTION nomiqon.spend() RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = nomiqon, pg_temp
    AS 'BEGIN INSERT INTO nomiqon.money VALUES (1); RETURN nomiqon.internal_secret(); END';
CREATE PROCEDURE nomiqon.tidy(text[]) LANGUAGE sql AS 'SELECT 1';
CREATE SCHEMA finance;
CREATE VIEW finance.spend AS SELECT * FROM nomiqon.money;
)"};

class Roles : public test::DatabaseTest {
  protected:
    void SetUp() override {
        DatabaseTest::SetUp();
        const auto done = migrate(owner_url(), std::vector<Migration>{functions}, limit);
        ASSERT_TRUE(done) << done.error();
    }
    /// Empty: it was allowed.
    static std::string refusal(const std::string& url, const std::string& statement) {
        try {
            query_value(url, statement);
            return "";
        } catch (const std::exception& error) {
            return error.what();
        }
    }
    static void expect_runtime_rights(const std::string& url, const std::string& role) {
        const std::string become = role.empty() ? "" : "SET ROLE " + role + "; ";
        EXPECT_EQ(refusal(url, become + "SELECT nomiqon.spend()"), "");
        EXPECT_EQ(refusal(url, become + "CALL nomiqon.tidy('{}')"), "");
        for (const char* statement :
             {"SELECT nomiqon.internal_secret()", "SELECT * FROM nomiqon.money",
              "INSERT INTO nomiqon.money VALUES (9)", "SELECT * FROM nomiqon.schema_migrations",
              "SELECT * FROM finance.spend", "CREATE TABLE nomiqon.t (x int)"}) {
            EXPECT_NE(refusal(url, become + statement).find("permission denied"), std::string::npos)
                << statement;
        }
    }
    /// A login role of this test alone: roles belong to the whole server.
    std::string make_user(const std::string& attributes) {
        const std::string name = value("SELECT current_database()") + "_user";
        value("CREATE ROLE " + name + " LOGIN " + attributes);
        return name;
    }
};

TEST_F(Roles, TheOwnerBecomesTheRuntimeRoleWhichMayCallFunctionsOnly) {
    const auto report = ensure_roles(owner_url(), "");
    ASSERT_TRUE(report) << report.error();
    EXPECT_EQ(report->set_role, "nomiqon_runtime");
    EXPECT_EQ(report->runtime_conninfo, owner_url());
    EXPECT_TRUE(report->warnings.empty());
    expect_runtime_rights(report->runtime_conninfo, report->set_role);
    EXPECT_EQ(value("SET ROLE nomiqon_finance; SELECT count(*) FROM finance.spend"), "1");
    EXPECT_NE(refusal(owner_url(), "SET ROLE nomiqon_finance; SELECT * FROM nomiqon.money"), "");
    EXPECT_NE(refusal(owner_url(), "SET ROLE nomiqon_finance; SELECT nomiqon.spend()"), "");
}

TEST_F(Roles, OnThePrivateServerTheRuntimeRoleLogsIn) {
    const auto report = ensure_roles(owner_url(), url_of("nomiqon_runtime"), RuntimeLogin::yes);
    ASSERT_TRUE(report) << report.error();
    EXPECT_EQ(report->set_role, "");
    EXPECT_TRUE(report->warnings.empty());
    EXPECT_EQ(query_value(report->runtime_conninfo, "SELECT current_user"), "nomiqon_runtime");
    expect_runtime_rights(report->runtime_conninfo, "");
}

TEST_F(Roles, ASecondStartChangesNothing) {
    ASSERT_TRUE(ensure_roles(owner_url(), ""));
    const std::string rows =
        "SELECT string_agg(xmin::text, ',' ORDER BY oid) FROM pg_proc WHERE pronamespace = "
        "'nomiqon'::regnamespace";
    const std::string before = value(rows);
    ASSERT_TRUE(ensure_roles(owner_url(), ""));
    EXPECT_EQ(value(rows), before);
}

TEST_F(Roles, ANewMigrationsFunctionsAreGrantedAtTheNextStart) {
    ASSERT_TRUE(ensure_roles(owner_url(), ""));
    value("CREATE FUNCTION nomiqon.more() RETURNS int LANGUAGE sql AS 'SELECT 3'");
    ASSERT_TRUE(ensure_roles(owner_url(), ""));
    EXPECT_EQ(value("SET ROLE nomiqon_runtime; SELECT nomiqon.more()"), "3");
}

TEST_F(Roles, ASeparateUserGetsTheRuntimeRights) {
    const std::string user = make_user("");
    const auto report = ensure_roles(owner_url(), url_of(user));
    ASSERT_TRUE(report) << report.error();
    EXPECT_EQ(report->set_role, "");
    EXPECT_EQ(report->runtime_conninfo, url_of(user));
    EXPECT_TRUE(report->warnings.empty());
    expect_runtime_rights(report->runtime_conninfo, "");
}

TEST_F(Roles, AUserThatInheritsNothingIsGrantedDirectly) {
    const std::string user = make_user("NOINHERIT");
    const auto report = ensure_roles(owner_url(), url_of(user));
    ASSERT_TRUE(report) << report.error();
    expect_runtime_rights(report->runtime_conninfo, "");
}

TEST_F(Roles, AnUnknownUserIsRefusedAndAStrongOneWarnedOf) {
    const auto refused = ensure_roles(owner_url(), url_of("no_such_user"));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().find("\"no_such_user\""), std::string::npos);
    const auto same = ensure_roles(owner_url(), owner_url());
    ASSERT_TRUE(same) << same.error();
    ASSERT_EQ(same->warnings.size(), 1U);
    const auto strong = ensure_roles(owner_url(), url_of(make_user("SUPERUSER")));
    ASSERT_TRUE(strong) << strong.error();
    ASSERT_EQ(strong->warnings.size(), 1U);
    EXPECT_NE(strong->warnings[0].find("superuser"), std::string::npos);
}

/// An owner as hosted databases give it: it has the database, and nothing on the server.
class PlainOwner : public test::DatabaseTest {
  protected:
    void make_owner(const std::string& attributes) {
        const std::string database = value("SELECT current_database()");
        owner_ = database + "_owner";
        value("CREATE ROLE " + owner_ + " LOGIN " + attributes + "; ALTER DATABASE " + database +
              " OWNER TO " + owner_);
        const auto done = migrate(url_of(owner_), std::vector<Migration>{functions}, limit);
        ASSERT_TRUE(done) << done.error();
    }
    std::string owner_;
};

TEST_F(PlainOwner, MayBecomeTheRuntimeRoleAfterCreatingOrBeingGrantedIt) {
    make_owner("CREATEROLE");
    const auto report = ensure_roles(url_of(owner_), "");
    ASSERT_TRUE(report) << report.error();
    EXPECT_EQ(report->set_role, "nomiqon_runtime");
    EXPECT_EQ(query_value(url_of(owner_), "SET ROLE nomiqon_runtime; SELECT nomiqon.spend()"), "2");
}

TEST_F(PlainOwner, WithoutTheRightToCreateRolesTheWarningSaysHowToMendIt) {
    value(
        "DO $$ BEGIN CREATE ROLE nomiqon_runtime NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    make_owner("");
    const auto report = ensure_roles(url_of(owner_), "");
    ASSERT_TRUE(report) << report.error();
    EXPECT_EQ(report->set_role, "");
    ASSERT_FALSE(report->warnings.empty());
    EXPECT_NE(report->warnings.back().find("GRANT nomiqon_runtime TO " + owner_), std::string::npos)
        << report->warnings.back();
    value("GRANT nomiqon_runtime TO " + owner_);
    EXPECT_EQ(ensure_roles(url_of(owner_), "")->set_role, "nomiqon_runtime");
}

}  // namespace
}  // namespace nomiqon
