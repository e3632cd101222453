// What each deciding step reads out of a client's words, and what it asks its tables for.
#include "client_hello.h"
#include "decision.h"
#include "login_name.h"
#include "offers.h"

#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace bulkhead;
using testing::ElementsAre;
using namespace std::string_literals;

namespace
{

std::string number(std::size_t value, std::size_t size)
{
    std::string bytes;
    while (size-- > 0)
        bytes += static_cast<char>(value >> (8 * size));
    return bytes;
}

std::string counted(std::size_t length_size, const std::string& bytes)
{
    return number(bytes.size(), length_size) + bytes;
}

std::string hello(const std::string& extensions, bool with_extensions = true)
{
    const std::string body = "\x03\x03" + std::string(32, 'r') + counted(1, "") + counted(2, "\x13\x01") +
                             counted(1, std::string(1, '\0')) +
                             (with_extensions ? counted(2, extensions) : "");
    return number(1, 1) + counted(3, body);
}

std::string record(const std::string& bytes)
{
    return "\x16\x03\x01" + counted(2, bytes);
}

std::string server_name(const std::string& host)
{
    return number(0, 2) + counted(2, counted(2, number(0, 1) + counted(2, host)));
}

const std::string other_extension = number(43, 2) + counted(2, "\x02\x03\x04");

std::string name_in(const std::string& bytes)
{
    const auto name = server_name_in(bytes);
    return !name ? "malformed" : !*name ? "more" : **name;
}

} // namespace

TEST(ClientHello, NamesTheServer)
{
    EXPECT_EQ(name_in(record(hello(other_extension + server_name("MX.B.Example")))), "mx.b.example");
    EXPECT_EQ(name_in(record(hello(server_name("mx.b.example.")))), "mx.b.example");
    EXPECT_EQ(name_in(record(hello(other_extension))), "");
    EXPECT_EQ(name_in(record(hello("", false))), "");
}

TEST(ClientHello, WaitsForTheRest)
{
    const std::string whole = record(hello(other_extension + server_name("mx.b.example")));
    for (std::size_t size = 0; size < whole.size(); ++size)
        EXPECT_EQ(name_in(whole.substr(0, size)), "more") << size;
}

TEST(ClientHello, MayComeInManyRecords)
{
    const std::string message = hello(server_name("mx.b.example"));
    std::string records;
    for (const char c : message)
        records += record(std::string(1, c));
    EXPECT_EQ(name_in(records), "mx.b.example");
}

TEST(ClientHello, RefusesWhatIsNone)
{
    EXPECT_EQ(name_in("EHLO client.example\r\n"), "malformed");
    EXPECT_EQ(name_in("\x16\x03\x01\x00\x00"s), "malformed");
    EXPECT_EQ(name_in(record("\x02\x00\x00\x01x"s)), "malformed");
    EXPECT_EQ(name_in(record("\x01\xff\xff\xff"s)), "malformed");
    EXPECT_EQ(name_in(record("\x01\x00\x00\x02\x03\x03"s)), "malformed");
    EXPECT_EQ(name_in(record(hello(number(0, 2) + number(500, 2) + "x"))), "malformed");
}

TEST(ClientHello, NamesThatAreNoneAreNoNames)
{
    for (const std::string& host : {"a/../b"s, "a b"s, "a\0b"s, std::string(300, 'a'), ".hidden"s, ""s})
        EXPECT_EQ(name_in(record(hello(server_name(host)))), "");
}

TEST(LoginName, IsInTheFirstMessage)
{
    struct Row {
        const char* mechanism;
        std::string message;
        const char* name; // null: none
    };
    const Row rows[] = {
        {"PLAIN", "\0alice@a.example\0secret"s, "alice@a.example"},
        {"PLAIN", "other\0alice\0secret"s, "alice"},
        {"PLAIN", "\0alice"s, nullptr},
        {"PLAIN", "\0\0secret"s, nullptr},
        {"PLAIN", "\0al\nice\0secret"s, nullptr},
        {"LOGIN", "bob@b.example", "bob@b.example"},
        {"LOGIN", "", nullptr},
        {"LOGIN", std::string(300, 'x'), nullptr},
        {"SCRAM-SHA-256", "n,,n=user,r=abc", "user"},
        {"SCRAM-SHA-256", "y,a=x,n=a=2Cb=3Dc,r=abc", "a,b=c"},
        {"SCRAM-SHA-1", "n,,n=a=2,r=abc", nullptr},
        {"SCRAM-SHA-1", "n,,m=ext,n=user", nullptr},
        {"XOAUTH2", "user=joe@x.example\1auth=Bearer t\1\1", "joe@x.example"},
        {"XOAUTH2", "auth=Bearer t\1\1", nullptr},
        {"CRAM-MD5", "joe 0123", nullptr},
        {"LOGIN", "\xff\xfe", nullptr},
    };
    for (const Row& row : rows) {
        const auto name = login_name(row.mechanism, row.message);
        EXPECT_EQ(name.value_or("(none)"), row.name ? row.name : "(none)")
            << row.mechanism << ' ' << row.message;
    }
    EXPECT_FALSE(tells_name_first("CRAM-MD5"));
    EXPECT_EQ(first_challenge("LOGIN"), "Username:");
}

TEST(Keys, TheMostSpecificFirst)
{
    EXPECT_THAT(listener_keys("192.0.2.1", 25), ElementsAre("192.0.2.1:25", "192.0.2.1"));
    EXPECT_THAT(server_name_keys("a.b.c"), ElementsAre("a.b.c", ".b.c", ".c"));
    EXPECT_THAT(login_keys("u@d"), ElementsAre("u@d", "@d", "u"));
    EXPECT_THAT(login_keys("u"), ElementsAre("u"));
    EXPECT_THAT(address_keys("u@d"), ElementsAre("u@d", "d"));
    EXPECT_THAT(address_keys(""), ElementsAre("<>"));
    EXPECT_THAT(address_keys("u"), ElementsAre("u"));
}

TEST(Offers, AreWhatEverybodyOffers)
{
    const auto config = [](const char* text) {
        return *Config::from(*MainCf::parse(text, "main.cf"), "/nowhere");
    };
    Offers offers;
    offers.keywords = {"PIPELINING", "SIZE", "DSN", "SMTPUTF8"};
    offers.limit_to(config("message_size_limit = 5000\n"));
    offers.limit_to(config("message_size_limit = 0\nsmtpd_discard_ehlo_keywords = dsn\n"
                           "smtpd_sasl_auth_enable = yes\nsmtpd_tls_auth_only = yes\n"));
    offers.limit_to(config("message_size_limit = 9000\nsmtputf8_enable = no\n"));
    EXPECT_THAT(offers.lines("mx", true, "PLAIN"),
                ElementsAre("mx", "PIPELINING", "SIZE 5000", "STARTTLS", "AUTH PLAIN"));
    EXPECT_TRUE(offers.auth_only);
    EXPECT_FALSE(offers.command_options().dsn);
}

TEST(FrontDoorParams, AgreeWithTheTable)
{
    EXPECT_THAT(FrontDoorParams().disagreements(), ElementsAre());
}
