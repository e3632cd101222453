#include "sasl/auth_protocol.h"

#include "sasl/base64.h"

#include <gtest/gtest.h>

#include <string>

using namespace bulkhead;
using namespace bulkhead::sasl;

namespace
{

using Said = AuthAnswer::Kind;

TEST(Base64, IsReadAsItIsWritten)
{
    for (const std::string text : {"", "f", "fo", "foo", "foob", "fooba", "foobar"})
        EXPECT_EQ(decode_base64(encode_base64(text)), text);
    EXPECT_EQ(encode_base64(std::string("\0a\0b", 4)), "AGEAYg==");
}

TEST(Base64, RefusesWhatNobodyWrites)
{
    for (const char* text :
         {"A", "AB", "ABC", "AB=C", "====", "A===", "AB==CD==", "AB C", "AB*=", "AR==", "Zm9=", "Zm9v\n"})
        EXPECT_FALSE(decode_base64(text)) << text;
}

TEST(AuthAnswer, Greeting)
{
    EXPECT_EQ(parse_auth_answer("VERSION\t1\t2")->number, 1u);
    const auto mechanism = parse_auth_answer("MECH\tcram-md5\tdictionary\tactive");
    ASSERT_TRUE(mechanism);
    EXPECT_EQ(mechanism->kind, Said::mechanism);
    EXPECT_EQ(mechanism->mechanism, (Mechanism{"CRAM-MD5", property::dictionary | property::active}));
    EXPECT_FALSE(mechanism->hidden);
    EXPECT_TRUE(parse_auth_answer("MECH\tDOVECOT-TOKEN\tprivate")->hidden);
    EXPECT_EQ(parse_auth_answer("SPID\t17")->kind, Said::other);
    EXPECT_EQ(parse_auth_answer("DONE")->kind, Said::done);
}

TEST(AuthAnswer, Outcomes)
{
    const auto good = parse_auth_answer("OK\t7\tuser=joe@a.test\tfuture=1");
    ASSERT_TRUE(good);
    EXPECT_EQ(good->kind, Said::ok);
    EXPECT_EQ(good->id, 7u);
    EXPECT_EQ(good->user, "joe@a.test");
    const auto more = parse_auth_answer("CONT\t7\tVXNlcm5hbWU6");
    ASSERT_TRUE(more);
    EXPECT_EQ(more->data, "Username:");
    EXPECT_EQ(parse_auth_answer("CONT\t7\t")->data, "");
    const auto bad = parse_auth_answer("FAIL\t8\tuser=j\001toe\treason=not\001nnow\tcode=temp_fail");
    ASSERT_TRUE(bad);
    EXPECT_EQ(bad->user, "j\toe");
    EXPECT_EQ(bad->reason, "not\nnow");
    EXPECT_TRUE(bad->temporary);
    EXPECT_FALSE(parse_auth_answer("FAIL\t8")->temporary);
}

TEST(AuthAnswer, RefusesNonsense)
{
    for (const char* line : {"OK", "OK\tx", "OK\t-1", "OK\t4294967296", "CONT\t1\t***", "FAIL\t", "MECH",
                             "MECH\tno blanks", "MECH\tTHIS-NAME-IS-TOO-LONG-FOR-SASL", "VERSION"})
        EXPECT_FALSE(parse_auth_answer(line)) << line;
    EXPECT_FALSE(parse_auth_answer("OK\t1" + std::string(100, '\t')));
    EXPECT_FALSE(parse_auth_answer("OK\t1\tuser=" + std::string(auth_line_limit, 'x')));
}

TEST(AuthRequest, BeginIsReadAsItIsWritten)
{
    AuthRequest request;
    request.kind = AuthRequest::Kind::begin;
    request.id = 3;
    request.mechanism = "PLAIN";
    request.service = "smtp";
    request.remote_address = "2001:db8::1";
    request.local_address = "192.0.2.1";
    request.remote_port = 4711;
    request.secured = true;
    request.data = std::string("\0joe\0pass", 9);
    const std::string line = auth_line(request);
    EXPECT_EQ(line,
              "AUTH\t3\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip=2001:db8::1\trport=4711\tsecured\t"
              "resp=AGpvZQBwYXNz\n");
    const auto read = parse_auth_request(std::string_view(line).substr(0, line.size() - 1));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->kind, AuthRequest::Kind::begin);
    EXPECT_EQ(read->data, request.data);
    EXPECT_EQ(read->remote_address, "2001:db8::1");
    EXPECT_TRUE(read->secured);
}

// No initial response and an empty one are two things (RFC 4954, section 4).
TEST(AuthRequest, TellsAnEmptyResponseFromNone)
{
    EXPECT_FALSE(parse_auth_request("AUTH\t1\tPLAIN\tservice=smtp")->data);
    EXPECT_EQ(parse_auth_request("AUTH\t1\tPLAIN\tservice=smtp\tresp=")->data, "");
    EXPECT_EQ(parse_auth_request("CONT\t1\t")->data, "");
}

TEST(AuthRequest, AFieldCannotBecomeALine)
{
    AuthRequest request;
    request.kind = AuthRequest::Kind::begin;
    request.mechanism = "PLAIN";
    request.service = "smtp\nCPID\t1";
    const std::string line = auth_line(request);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(SecurityOptions, Words)
{
    const auto demands = parse_security_options({"noplaintext", "NoAnonymous"});
    ASSERT_TRUE(demands);
    EXPECT_FALSE(demands->allow(properties_of("plain")));
    EXPECT_FALSE(demands->allow(properties_of("ANONYMOUS")));
    EXPECT_TRUE(demands->allow(properties_of("CRAM-MD5")));
    EXPECT_FALSE(demands->allow(properties_of("X-NEVER-HEARD-OF")));
    EXPECT_FALSE(parse_security_options({"nodictionary"})->allow(properties_of("CRAM-MD5")));
    EXPECT_FALSE(parse_security_options({"noactive"})->allow(properties_of("CRAM-MD5")));
    EXPECT_TRUE(parse_security_options({"mutual_auth"})->allow(properties_of("SCRAM-SHA-256")));
    EXPECT_FALSE(parse_security_options({"mutual_auth"})->allow(properties_of("PLAIN")));
    EXPECT_FALSE(parse_security_options({"forward_secrecy"})->allow(properties_of("SCRAM-SHA-256")));
    EXPECT_FALSE(parse_security_options({"noplaintxt"}));
}

} // namespace
