<?php

// Stands for a login: users have numbers.
session_save_path(getenv('EXAMPLE_DATA') ?: sys_get_temp_dir());
session_start();
session_regenerate_id(true);
$_SESSION['user'] = (int) ($_POST['user'] ?? 0);
header('Location: /', true, 303);
