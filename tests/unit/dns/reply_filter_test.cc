#include "dns/reply_filter.h"

#include <gtest/gtest.h>

namespace bulkhead::dns
{
namespace
{

// What operators write patterns for.
TEST(ReplyFilter, ShowsRecordsAsZoneFilesHaveThem)
{
    EXPECT_EQ(record_text("a.test", Type::mx, MxRecord(10, "mx.a.test")), "a.test 0 IN MX 10 mx.a.test.");
    EXPECT_EQ(record_text("a.test", Type::mx, MxRecord(0, "")), "a.test 0 IN MX 0 .");
    EXPECT_EQ(record_text("a.test", Type::ns, HostRecord("ns.a.test")), "a.test 0 IN NS ns.a.test.");
    EXPECT_EQ(record_text("_s._tcp.a.test", Type::srv, SrvRecord(1, 2, 25, "mx.a.test")),
              "_s._tcp.a.test 0 IN SRV 1 2 25 mx.a.test.");
    EXPECT_EQ(record_text("a.test", Type::a, *SocketAddress::parse("192.0.2.1")), "a.test 0 IN A 192.0.2.1");
    EXPECT_EQ(record_text("a.test", Type::aaaa, *SocketAddress::parse("2001:db8::1")),
              "a.test 0 IN AAAA 2001:db8::1");
}

} // namespace
} // namespace bulkhead::dns
