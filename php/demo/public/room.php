<?php

declare(strict_types=1);

use Demo\Page;
use Demo\Request;

require __DIR__ . '/../src/start.php';

$room = Request::room();
Page::beginPane('room', "Room $room – php-sse", 'mx-auto max-w-3xl border-base-300 bg-base-100 md:border-x');
?>
<header class="flex flex-wrap items-center gap-x-3 gap-y-1 border-b border-base-300 px-4 py-2">
  <h1 class="min-w-0 truncate font-semibold" id="title">Room <?= Page::text($room) ?></h1>
  <p id="state" class="state" role="status">Not connected</p>
  <div class="ml-auto flex gap-1" id="tools">
    <button type="button" id="copy" class="btn btn-ghost btn-sm">Copy link</button>
    <button type="button" id="wifi" class="btn btn-ghost btn-sm" aria-pressed="false">Drop my Wi-Fi</button>
    <a class="btn btn-ghost btn-sm" href=".">Leave</a>
  </div>
</header>
<p class="flex gap-1 border-b border-base-300 px-4 py-1 text-sm text-base-content/70"><span>Here:</span> <span id="present" class="min-w-0 truncate">nobody yet</span></p>
<div id="log" class="min-h-0 flex-1 overflow-y-auto px-4 py-3" role="log" aria-label="Messages" tabindex="0">
  <ol id="messages" class="space-y-1"></ol>
</div>
<p id="typing" class="h-6 px-4 text-sm text-base-content/70"></p>
<form id="form" class="flex gap-2 border-t border-base-300 p-3">
  <input id="text" class="input input-sm min-w-0 flex-1" aria-label="Message" placeholder="Write a message" maxlength="2000" autocomplete="off" required>
  <button class="btn btn-primary btn-sm">Send</button>
</form>
<p id="count" class="px-4 pb-2 text-xs text-base-content/70"></p>
<dialog id="door" class="modal" aria-labelledby="door-title">
  <form class="modal-box max-w-sm" id="door-form">
    <h2 class="text-lg font-semibold" id="door-title">Who are you?</h2>
    <p class="mt-1 text-sm text-base-content/80">The others in the room see this name.</p>
    <input id="name" class="input mt-3 w-full" aria-label="Your name" maxlength="40" autocomplete="nickname" required>
    <button class="btn btn-primary mt-3 w-full">Come in</button>
  </form>
</dialog>
<?php
Page::end();
