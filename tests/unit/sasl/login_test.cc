// Client and server logins against each other, and against peers that do not behave.
#include "sasl/client_login.h"
#include "sasl/server_login.h"
#include "sasl/user_database.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

using namespace bulkhead;
using namespace bulkhead::sasl;

namespace
{

using Kind = LoginStep::Kind;

class FakeUsers final : public UserSource
{
public:
    FakeUsers()
    {
        users["joe"] = *make_credentials("sesam öffne", "sha512", false);
        users["plain"] = *parse_credentials("{PLAIN}two words");
    }
    Result<std::optional<StoredUser>> find(const std::string& user) override
    {
        if (broken)
            return Error(Fault::broken, "database on fire");
        const auto found = users.find(user);
        if (found == users.end())
            return std::optional<StoredUser>();
        return std::optional(StoredUser{found->first, found->second});
    }
    Result<std::vector<std::string>> owners_of(const std::string& token) override
    {
        return token == "good.token" ? std::vector<std::string>{"joe"} : std::vector<std::string>();
    }

    std::map<std::string, Credentials> users;
    bool broken = false;
};

// The last word of the server.
LoginStep log_in(FakeUsers& users, const std::string& mechanism, const std::string& user,
                 const std::string& password)
{
    ClientSecrets secrets;
    secrets.user = user;
    secrets.password = password;
    auto client = ClientLogin::begin(mechanism, std::move(secrets));
    EXPECT_TRUE(client);
    const auto server = begin_login(mechanism, users);
    std::optional<std::string> response;
    if (!(*client)->waits_for_challenge())
        response = *(*client)->answer("");
    for (int steps = 0; steps < 10; ++steps) {
        LoginStep said = server->step(response);
        if (said.kind == Kind::granted) {
            EXPECT_TRUE((*client)->is_complete());
        }
        if (said.kind != Kind::go_on)
            return said;
        auto next = (*client)->answer(said.challenge);
        if (!next) {
            LoginStep refused(Kind::denied);
            refused.reason = "client: " + next.error().context;
            return refused;
        }
        response = *next;
    }
    return LoginStep(Kind::broken);
}

class Mechanisms : public testing::TestWithParam<const char*>
{
protected:
    FakeUsers users_;
};

TEST_P(Mechanisms, RightPassword)
{
    const LoginStep end = log_in(users_, GetParam(), "joe", "sesam öffne");
    EXPECT_EQ(end.kind, Kind::granted) << end.reason;
    EXPECT_EQ(end.user, "joe");
}

TEST_P(Mechanisms, PasswordStoredAsItIs)
{
    EXPECT_EQ(log_in(users_, GetParam(), "plain", "two words").kind, Kind::granted);
    EXPECT_EQ(log_in(users_, GetParam(), "plain", "two word").kind, Kind::denied);
}

TEST_P(Mechanisms, WrongPassword)
{
    const LoginStep end = log_in(users_, GetParam(), "joe", "sesam");
    EXPECT_EQ(end.kind, Kind::denied);
    EXPECT_EQ(end.user, "joe");
}

TEST_P(Mechanisms, UnknownUser)
{
    const LoginStep end = log_in(users_, GetParam(), "nobody", "sesam");
    EXPECT_EQ(end.kind, Kind::denied);
    EXPECT_EQ(end.user, "nobody");
}

TEST_P(Mechanisms, BrokenDatabaseIsNotTheClientsFault)
{
    users_.broken = true;
    const LoginStep end = log_in(users_, GetParam(), "joe", "sesam öffne");
    EXPECT_EQ(end.kind, Kind::broken);
    EXPECT_EQ(end.reason, "database on fire");
}

TEST_P(Mechanisms, GarbageIsRefused)
{
    for (const std::string& garbage :
         {std::string(), std::string(3, '\0'), std::string("\0\0", 2), std::string("n,,"),
          std::string("n,,n=joe,r="), std::string(9000, 'x'), std::string("a\0b", 3)}) {
        const auto server = begin_login(GetParam(), users_);
        LoginStep said = server->step(garbage);
        for (int steps = 0; steps < 5 && said.kind == Kind::go_on; ++steps)
            said = server->step(garbage);
        EXPECT_EQ(said.kind, Kind::denied);
    }
}

INSTANTIATE_TEST_SUITE_P(Sasl, Mechanisms, testing::Values("PLAIN", "LOGIN", "SCRAM-SHA-1", "SCRAM-SHA-256"));

TEST(CramMd5, NeedsThePasswordItself)
{
    FakeUsers users;
    EXPECT_EQ(log_in(users, "CRAM-MD5", "plain", "two words").kind, Kind::granted);
    EXPECT_EQ(log_in(users, "CRAM-MD5", "plain", "two").kind, Kind::denied);
    EXPECT_EQ(log_in(users, "CRAM-MD5", "joe", "sesam öffne").kind, Kind::denied);
    const auto server = begin_login("CRAM-MD5", users);
    EXPECT_EQ(server->step("early").kind, Kind::denied);
}

TEST(Plain, ActsForNobodyElse)
{
    FakeUsers users;
    const std::string_view secret = "sesam öffne";
    const auto message = [&](std::string_view other) {
        return std::string(other) + '\0' + "joe" + '\0' + std::string(secret);
    };
    EXPECT_EQ(begin_login("PLAIN", users)->step(message("")).kind, Kind::granted);
    EXPECT_EQ(begin_login("PLAIN", users)->step(message("joe")).kind, Kind::granted);
    EXPECT_EQ(begin_login("PLAIN", users)->step(message("root")).kind, Kind::denied);
    EXPECT_EQ(begin_login("PLAIN", users)->step(message("") + '\0').kind, Kind::denied);
}

TEST(Tokens, StandForTheirOwners)
{
    FakeUsers users;
    for (const char* mechanism : {"XOAUTH2", "OAUTHBEARER"}) {
        EXPECT_EQ(log_in(users, mechanism, "joe", "good.token").kind, Kind::granted) << mechanism;
        EXPECT_EQ(log_in(users, mechanism, "plain", "good.token").kind, Kind::denied) << mechanism;
        const LoginStep end = log_in(users, mechanism, "joe", "old.token");
        EXPECT_EQ(end.kind, Kind::denied) << mechanism;
        EXPECT_EQ(end.reason, "token not valid");
    }
    const auto server = begin_login("OAUTHBEARER", users);
    EXPECT_EQ(server->step("n,,\001auth=Bearer good.token\001\001").user, "joe");
}

// A server that is no server: it does not know the password, and the client must see that.
TEST(Scram, ClientDoesNotBelieveAFalseServer)
{
    ClientSecrets secrets{"joe", "x", "", 0, ""};
    auto client = ClientLogin::begin("SCRAM-SHA-256", secrets);
    ASSERT_TRUE(client);
    const std::string first = *(*client)->answer("");
    const std::string nonce = first.substr(first.find("r=") + 2);
    const auto second = (*client)->answer("r=" + nonce + "abc,s=c2FsdHNhbHQ=,i=4096");
    ASSERT_TRUE(second);
    EXPECT_FALSE((*client)->is_complete());
    EXPECT_FALSE((*client)->answer("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    EXPECT_FALSE((*client)->is_complete());
}

TEST(Scram, ClientComputesWithinLimits)
{
    ClientSecrets secrets{"joe", "x", "", 0, ""};
    auto client = ClientLogin::begin("SCRAM-SHA-1", secrets);
    const std::string first = *(*client)->answer("");
    const std::string nonce = first.substr(first.find("r=") + 2);
    const auto second = (*client)->answer("r=" + nonce + "abc,s=c2FsdHNhbHQ=,i=4000000000");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().context, "the server asks for too many iterations");
}

TEST(ChooseMechanism, ByStrengthAndDemands)
{
    const Demands all;
    const Demands no_plain = *parse_security_options({"noplaintext"});
    const std::vector<std::string> offered = {"login", "PLAIN", "XOAUTH2", "SCRAM-SHA-1",
                                              "SCRAM-SHA-256-PLUS"};
    EXPECT_EQ(choose_mechanism(offered, all, true), "SCRAM-SHA-256-PLUS");
    EXPECT_EQ(choose_mechanism(offered, all, false), "SCRAM-SHA-1");
    EXPECT_EQ(choose_mechanism({"LOGIN", "PLAIN"}, all, false), "PLAIN");
    EXPECT_EQ(choose_mechanism({"LOGIN", "PLAIN"}, no_plain, false), std::nullopt);
    EXPECT_EQ(choose_mechanism({"GSSAPI"}, all, false), std::nullopt);
}

TEST(StoredCredentials, AreReadAsTheyAreWritten)
{
    for (const char* method : {"yescrypt", "bcrypt", "sha512"}) {
        const auto made = make_credentials("geheim", method, true);
        ASSERT_TRUE(made) << method;
        const auto read = parse_credentials(made->text());
        ASSERT_TRUE(read) << method;
        EXPECT_EQ(read->text(), made->text());
        EXPECT_TRUE(is_password(*read, "geheim")) << method;
        EXPECT_FALSE(is_password(*read, "Geheim")) << method;
        EXPECT_FALSE(is_password(*read, "")) << method;
    }
    EXPECT_FALSE(make_credentials("", "yescrypt", false));
    EXPECT_FALSE(make_credentials(std::string(501, 'x'), "yescrypt", false));
    EXPECT_FALSE(make_credentials(std::string("a\0b", 3), "yescrypt", false));
    EXPECT_FALSE(make_credentials("x", "md5", false));
}

TEST(StoredCredentials, Schemes)
{
    EXPECT_TRUE(is_password(*parse_credentials("{CRYPT}$6$abcdefgh$"), "x") == false);
    EXPECT_FALSE(parse_credentials("geheim"));
    EXPECT_FALSE(parse_credentials("{MD5}abc"));
    EXPECT_FALSE(parse_credentials("{SCRAM-SHA-256}4096,AA==,AA=="));
    EXPECT_FALSE(parse_credentials("{SCRAM-SHA-256}1,AAAA,AAAA,AAAA"));
    EXPECT_FALSE(parse_credentials("{PLAIN.b64}***"));
    EXPECT_FALSE(parse_credentials(""));
    // An account that is locked by "!" in front of its hash.
    EXPECT_FALSE(is_password(*parse_credentials("{CRYPT}!$6$abc$def"), "x"));
}

// Nobody shall learn from the time of an answer who is there.
TEST(StoredCredentials, NobodyTakesAsLongAsSomebody)
{
    const auto somebody = make_credentials("geheim", "yescrypt", false);
    const auto once = [](const Credentials& credentials) {
        timespec begin{};
        timespec end{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
        EXPECT_FALSE(is_password(credentials, "falsch"));
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        return static_cast<double>(end.tv_sec - begin.tv_sec) * 1e9 +
               static_cast<double>(end.tv_nsec - begin.tv_nsec);
    };
    // The first one also pays for memory.
    const auto time = [&](const Credentials& credentials) {
        return std::min({once(credentials), once(credentials), once(credentials)});
    };
    EXPECT_GT(time(Credentials()), time(*somebody) / 4);
}

class Database : public testing::Test
{
protected:
    Database()
    {
        char name[] = "/tmp/bulkhead-users.XXXXXX";
        folder_ = ::mkdtemp(name);
        path_ = folder_ + "/users.sqlite";
    }
    ~Database() override { std::filesystem::remove_all(folder_); }
    std::string folder_;
    std::string path_;
};

TEST_F(Database, AddChangeRemove)
{
    EXPECT_EQ(UserDatabase::open(path_, UserDatabase::Mode::read).error().fault, Fault::not_found);
    auto users = UserDatabase::open(path_, UserDatabase::Mode::write);
    ASSERT_TRUE(users);
    EXPECT_EQ(std::filesystem::status(path_).permissions(), std::filesystem::perms(0600));
    EXPECT_EQ(users->all_have("SCRAM-SHA-1}").value_or(true), false);
    const Credentials keys = *make_credentials("x", "sha512", false);
    EXPECT_TRUE(*users->add("joe", keys));
    EXPECT_FALSE(*users->add("joe", keys));
    EXPECT_FALSE(*users->change("jane", keys));
    EXPECT_TRUE(*users->all_have("SCRAM-SHA-1}"));
    EXPECT_FALSE(*users->all_have("PLAIN"));
    EXPECT_TRUE(*users->add("jane", *parse_credentials("{PLAIN}x")));
    EXPECT_FALSE(*users->all_have("SCRAM-SHA-1}"));

    const auto reader = UserDatabase::open(path_, UserDatabase::Mode::read);
    ASSERT_TRUE(reader);
    EXPECT_EQ((*reader->find("joe"))->credentials, keys.text());
    EXPECT_FALSE(*reader->find("j' OR 1=1 --"));
    EXPECT_EQ(reader->list()->size(), 2u);
    EXPECT_TRUE(*users->remove("joe"));
    EXPECT_FALSE(*users->remove("joe"));
    EXPECT_FALSE(*reader->find("joe"));
}

TEST_F(Database, RefusesAFileThatIsNone)
{
    {
        std::FILE* file = std::fopen(path_.c_str(), "w");
        std::fputs("this is no database, not even nearly", file);
        std::fclose(file);
    }
    EXPECT_FALSE(UserDatabase::open(path_, UserDatabase::Mode::write));
    const auto read = UserDatabase::open(path_, UserDatabase::Mode::read);
    EXPECT_FALSE(read && read->find("joe"));
}

TEST(UserNames, AreFoldedAndChecked)
{
    EXPECT_EQ(*stored_user_name("Joe@A.Test"), "joe@a.test");
    for (const std::string& name : {std::string(), std::string("a b"), std::string("a\n"),
                                    std::string("a\0", 2), std::string("\xff"), std::string(256, 'a')})
        EXPECT_FALSE(stored_user_name(name));
}

} // namespace
