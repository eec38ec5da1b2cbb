%% beam_actors: the workloads of bench/runtime_load.c in Erlang processes and gen_server, one line a figure:
%% PEER METRIC WALL_OPS/S WALL_NS/OP CPU_NS/OP. CPU is the virtual machine's user and system time.
%% Use: erl +S N -noshell -pa DIRECTORY -run beam_actors main pingpong ask ring fanin spawn
-module(beam_actors).
-behaviour(gen_server).
-export([main/1, init/1, handle_call/3, handle_cast/2]).

-define(ROUND_TRIPS, 200000).
-define(ASKS, 200000).
-define(HOPS, 1000000).
-define(FAN, 1000000).
-define(SPAWNED, 1000000).

main(Workloads) ->
    lists:foreach(fun(Name) -> workload(list_to_atom(Name)) end, Workloads),
    halt().

init(State) -> {ok, State}.
handle_call(_Question, _From, State) -> {reply, State, State}.
handle_cast(_Message, State) -> {noreply, State}.

measure(Metric, Count, Work) ->
    {Cpu, _} = statistics(runtime),
    Wall = erlang:monotonic_time(nanosecond),
    Result = Work(),
    WallNs = erlang:monotonic_time(nanosecond) - Wall,
    {CpuEnd, _} = statistics(runtime),
    io:format("beam_s~b ~s ~b ~.2f ~.2f~n",
              [erlang:system_info(schedulers), Metric, Count * 1000000000 div WallNs, WallNs / Count,
               (CpuEnd - Cpu) * 1000000 / Count]),
    Result.

collect(0, _) -> ok;
collect(Left, Tag) -> receive Tag -> collect(Left - 1, Tag) end.

workload(pingpong) ->
    Other = spawn_link(fun echo/0),
    measure("pingpong_rt", ?ROUND_TRIPS, fun() -> rally(Other, ?ROUND_TRIPS) end);
workload(ask) ->
    {ok, Server} = gen_server:start_link(?MODULE, ready, []),
    measure("ask", ?ASKS, fun() -> ask(Server, ?ASKS) end);
workload(ring) ->
    lists:foreach(fun ring/1, [1, 100]);
workload(fanin) ->
    lists:foreach(fun fanin/1, [1, 8]);
workload(spawn) ->
    Before = erlang:memory(total),
    All = measure("spawn_1M", ?SPAWNED, fun() -> births(?SPAWNED, []) end),
    io:format("beam_s~b bytes_per_actor ~b 0 0~n",
              [erlang:system_info(schedulers), (erlang:memory(total) - Before) div ?SPAWNED]),
    Me = self(),
    measure("kill_1M", ?SPAWNED, fun() -> [Pid ! {leave, Me} || Pid <- All], collect(?SPAWNED, left) end).

echo() -> receive {From, Ball} -> From ! Ball, echo() end.

rally(_, 0) -> ok;
rally(Other, Left) ->
    Other ! {self(), ball},
    receive ball -> rally(Other, Left - 1) end.

ask(_, 0) -> ok;
ask(Server, Left) ->
    ready = gen_server:call(Server, state),
    ask(Server, Left - 1).

ring(Tokens) ->
    Me = self(),
    First = spawn_link(fun() -> receive {next, Next} -> pass(Next) end end),
    Last = lists:foldl(fun(_, Next) -> spawn_link(fun() -> pass(Next) end) end, First, lists:seq(2, 1000)),
    First ! {next, Last},
    measure(io_lib:format("ring1000_tok~b", [Tokens]), ?HOPS,
            fun() ->
                    [First ! {token, ?HOPS div Tokens, Me} || _ <- lists:seq(1, Tokens)],
                    collect(Tokens, home)
            end).

pass(Next) ->
    receive
        {token, 0, Owner} -> Owner ! home;
        {token, Left, Owner} -> Next ! {token, Left - 1, Owner}
    end,
    pass(Next).

fanin(Senders) ->
    Me = self(),
    Each = ?FAN div Senders,
    Sink = spawn_link(fun() -> collect(Each * Senders, item), Me ! full end),
    All = [spawn_link(fun() -> receive start -> pour(Sink, Each) end end) || _ <- lists:seq(1, Senders)],
    measure(io_lib:format("fanin~b", [Senders]), Each * Senders,
            fun() -> [Pid ! start || Pid <- All], receive full -> ok end end).

pour(_, 0) -> ok;
pour(Sink, Left) -> Sink ! item, pour(Sink, Left - 1).

births(0, All) -> All;
births(Left, All) -> births(Left - 1, [spawn(fun idle/0) | All]).

idle() -> receive {leave, Owner} -> Owner ! left end.
