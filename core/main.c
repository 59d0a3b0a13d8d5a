/*
 * The tidepool program. `serve` is the node and is started here, in C, before any thread or Lua state exists; every other
 * command is Lua (lua/tidepool/cli).
 */
#include <getopt.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/error.h"
#include "base/log.h"
#include "config.h"
#include "exec/parallel.h"
#include "native.h"
#include "path/engine.h"
#include "script/json.h"
#include "script/worker.h"

/* Exit codes, as in lua/tidepool/cli/init.lua. */
enum {
	EXIT_OK = 0,
	EXIT_ERROR = 1,
	EXIT_USAGE = 2,
};

/* What the command line says of `serve`; NULL where it says nothing. */
struct serve_options {
	const char *config;
	const char *listen;
	const char *state;
	const char *functions;
	bool check_only;
};

static int
fail(int status)
{
	const struct error *error = error_last();
	fprintf(stderr, "tidepool: %s: %s\n", error_code_name(error->code), error->message);
	return status;
}

/* 0, or EXIT_USAGE with the complaint printed. argv starts at "serve". */
static int
read_serve_options(int argc, char **argv, struct serve_options *options)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "listen", required_argument, NULL, 'l' },
		{ "state", required_argument, NULL, 's' },
		{ "watch", required_argument, NULL, 'w' },
		{ "check-config", no_argument, NULL, 'C' },
		{ NULL, 0, NULL, 0 },
	};
	for (int key; (key = getopt_long(argc, argv, "c:l:s:w:", known, NULL)) != -1;) {
		switch (key) {
		case 'c':
			options->config = optarg;
			break;
		case 'l':
			options->listen = optarg;
			break;
		case 's':
			options->state = optarg;
			break;
		case 'w':
			options->functions = optarg;
			break;
		case 'C':
			options->check_only = true;
			break;
		default:
			fputs("Try: tidepool serve --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "tidepool serve: unexpected argument \"%s\"\nTry: tidepool serve --help\n",
		argv[optind]);
	return EXIT_USAGE;
}

/* The configuration file, or the defaults, with the command line's options over it. */
static int
make_config(const struct serve_options *options, struct config *config)
{
	if (options->config == NULL)
		config_default(config);
	else if (config_load(options->config, config) != 0)
		return -1;
	if ((options->listen == NULL || config_set_listen(config, options->listen) == 0) &&
	    (options->state == NULL || config_set_state(config, options->state) == 0) &&
	    (options->functions == NULL || config_set_functions(config, options->functions) == 0) &&
	    config_check(config) == 0)
		return 0;
	config_destroy(config);
	return -1;
}

/* As many files as the system grants: a worker takes two, and shells start programs with as few as 1,024. */
static void
raise_file_limit(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max)
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

static int
serve(int argc, char **argv)
{
	struct serve_options options = { 0 };
	struct config config;
	int status = read_serve_options(argc, argv, &options);
	if (status != 0)
		return status;
	if (make_config(&options, &config) != 0)
		return fail(EXIT_ERROR);
	log_set_level(config.log_level);
	raise_file_limit();
	if (options.check_only) {
		puts("configuration ok");
	} else if (worker_zygote_start() != 0) {
		status = fail(EXIT_ERROR);
	} else {
		status = engine_serve(&config);
		worker_zygote_stop();
	}
	config_destroy(&config);
	return status;
}

/* --- the commands in Lua -------------------------------------------------------------------------------------------- */

static int
traceback(lua_State *L)
{
	if (lua_isstring(L, 1))
		luaL_traceback(L, L, lua_tostring(L, 1), 1);
	return 1;
}

static void
preload(lua_State *L, const char *module, lua_CFunction open)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
	lua_pushcfunction(L, open);
	lua_setfield(L, -2, module);
	lua_pop(L, 1);
}

/* Push the arguments as a Lua array, the program's name at 0. */
static void
push_arguments(lua_State *L, int argc, char **argv)
{
	lua_createtable(L, argc - 1, 1);
	for (int i = 0; i < argc; i++) {
		lua_pushstring(L, argv[i]);
		lua_rawseti(L, -2, i);
	}
}

static int
run_command(int argc, char **argv)
{
	lua_State *L = luaL_newstate();
	if (L == NULL) {
		fputs("tidepool: no memory for Lua\n", stderr);
		return EXIT_ERROR;
	}
	int status = EXIT_ERROR;
	luaL_openlibs(L);
	preload(L, "cjson", luaopen_cjson);
	preload(L, "tidepool.native", luaopen_tidepool_native);
	lua_pushcfunction(L, traceback);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "tidepool.cli");
	if (lua_pcall(L, 1, 1, 1) == 0) {
		lua_getfield(L, -1, "main");
		push_arguments(L, argc, argv);
		if (lua_pcall(L, 1, 1, 1) == 0)
			status = (int)lua_tointeger(L, -1);
	}
	if (lua_isstring(L, -1) && !lua_isnumber(L, -1))
		fprintf(stderr, "tidepool: %s\n", lua_tostring(L, -1));
	lua_close(L);
	return status;
}

/* `tidepool serve --help` is Lua's, as all help. */
static bool
asks_for_help(int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

int
main(int argc, char **argv)
{
	worker_keep_zygote(argc, argv);
	if (argc >= 2 && strcmp(argv[1], "serve") == 0 && !asks_for_help(argc, argv)) {
		parallel_settle(argv);
		return serve(argc - 1, argv + 1);
	}
	return run_command(argc, argv);
}
