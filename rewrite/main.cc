// trivial-rewrite: the canonical form of addresses and the way of their mail.
#include "trivial_rewrite.h"

int main(int argc, char** argv)
{
    bulkhead::TrivialRewrite rewrite;
    return bulkhead::run_worker(rewrite, argc, argv);
}
