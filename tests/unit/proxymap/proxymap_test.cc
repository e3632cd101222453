#include "allow_list.h"
#include "params.h"

#include "table/proxy_protocol.h"

#include <gtest/gtest.h>

namespace bulkhead
{
namespace
{

TEST(AllowList, TakesProxiedTablesOutOfEverythingElse)
{
    const AllowList list("proxy:unix:passwd.byname hash:/etc/aliases mx.example, localhost "
                         "check_sender_access proxy:mysql:/etc/senders.cf !proxy:pcre:/etc/no permit");
    EXPECT_TRUE(list.allows("unix:passwd.byname"));
    EXPECT_TRUE(list.allows("mysql:/etc/senders.cf"));
    EXPECT_TRUE(list.allows("pcre:/etc/no"));
    EXPECT_FALSE(list.allows("hash:/etc/aliases"));
    EXPECT_FALSE(list.allows("mx.example"));
    EXPECT_EQ(list.size(), 3u);
}

TEST(AllowList, LooksIntoCompoundTables)
{
    const AllowList list("unionmap:{proxy:ldap:/etc/a.cf, pipemap:{proxy:sqlite:/etc/b.cf, hash:/etc/c}}");
    EXPECT_TRUE(list.allows("ldap:/etc/a.cf"));
    EXPECT_TRUE(list.allows("sqlite:/etc/b.cf"));
    EXPECT_FALSE(list.allows("hash:/etc/c"));
}

TEST(AllowList, ACompoundTableBehindProxyIsOneTable)
{
    const AllowList list("proxy:unionmap:{hash:/etc/a,hash:/etc/b}");
    EXPECT_TRUE(list.allows("unionmap:{hash:/etc/a,hash:/etc/b}"));
    EXPECT_FALSE(list.allows("hash:/etc/a"));
}

TEST(ProxymapParams, AreThoseOfPostfix)
{
    ProxymapParams params;
    EXPECT_TRUE(params.disagreements().empty());
}

TEST(ProxyProtocol, CarriesAnyBytes)
{
    ProxyRequest request;
    request.op = ProxyRequest::Op::store;
    request.table = "btree:/var/lib/x";
    request.fold_patterns = false;
    request.key = std::string("a\0,5:", 5);
    request.value = "1:2,";
    std::string bytes;
    append_message(bytes, request);
    const auto end = end_of_proxy_message(bytes + "9:");
    ASSERT_TRUE(end);
    ASSERT_EQ(*end, bytes.size());
    const auto back = parse_proxy_request(bytes);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->op, ProxyRequest::Op::store);
    EXPECT_EQ(back->table, request.table);
    EXPECT_TRUE(back->fold_fixed_keys);
    EXPECT_FALSE(back->fold_patterns);
    EXPECT_FALSE(back->is_alias_source);
    EXPECT_EQ(back->key, request.key);
    EXPECT_EQ(back->value, request.value);
}

struct BadRequest {
    const char* name;
    std::string bytes;
};

class ProxyProtocolRefuses : public testing::TestWithParam<BadRequest>
{
};

TEST_P(ProxyProtocolRefuses, BadBytes)
{
    const auto request = parse_proxy_request(GetParam().bytes);
    ASSERT_FALSE(request);
    EXPECT_EQ(request.error().fault, Fault::malformed);
}

std::string message(std::string_view fields)
{
    return std::to_string(fields.size()) + ":" + std::string(fields) + ",";
}

INSTANTIATE_TEST_SUITE_P(Requests, ProxyProtocolRefuses,
                         testing::Values(BadRequest{"NoNetstring", "find"}, BadRequest{"Cut", "9:4:find,"},
                                         BadRequest{"FieldsMissing", message("4:find,3:a:b,")},
                                         BadRequest{"UnknownOperation", message("4:drop,3:a:b,0:,1:k,0:,")},
                                         BadRequest{"UnknownFlag", message("4:find,3:a:b,1:x,1:k,0:,")},
                                         BadRequest{"NoTable", message("4:find,0:,0:,1:k,0:,")},
                                         BadRequest{"TooManyFields", message("4:find,3:a:b,0:,1:k,0:,0:,")}),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(ProxyProtocol, RefusesAnEndlessMessage)
{
    const auto end = end_of_proxy_message("999999999:");
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().fault, Fault::limit);
}

} // namespace
} // namespace bulkhead
