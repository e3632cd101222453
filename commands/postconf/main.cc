// postconf: shows and edits parameters of main.cf and services of master.cf.
#include "run.h"

int main(int argc, char** argv)
{
    return bulkhead::postconf::run(argc, argv);
}
