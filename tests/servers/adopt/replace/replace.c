/* An extension that replaces usleep(), as others do: it counts the calls and goes on to what was there before. */
#include "php.h"

static zif_handler before;
static zend_long calls;

static ZEND_FUNCTION(replaced)
{
	calls++;
	before(INTERNAL_FUNCTION_PARAM_PASSTHRU);
}

ZEND_BEGIN_ARG_INFO_EX(arginfo, 0, 0, 0)
ZEND_END_ARG_INFO()

static ZEND_FUNCTION(replaced_calls)
{
	RETURN_LONG(calls);
}

static const zend_function_entry functions[] = {
	ZEND_FE(replaced_calls, arginfo)
	ZEND_FE_END
};

static PHP_MINIT_FUNCTION(replace)
{
	zend_function *function = zend_hash_str_find_ptr(CG(function_table), "usleep", sizeof("usleep") - 1);
	if (function) {
		before = function->internal_function.handler;
		function->internal_function.handler = ZEND_FN(replaced);
	}
	return SUCCESS;
}

static zend_module_entry replace_module_entry = {
	STANDARD_MODULE_HEADER, "replace", functions, PHP_MINIT(replace), NULL, NULL, NULL, NULL, "1", STANDARD_MODULE_PROPERTIES
};

ZEND_GET_MODULE(replace)
