package main

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// keyTable holds every key of the configuration by its full name, as in tls.acme.email, with the field that it sets.
type keyTable map[string]reflect.Value

// keysOf finds the keys of cfg by their toml tags. An embedded struct's keys belong to the section around it.
func keysOf(cfg *config) keyTable {
	t := keyTable{}
	t.add("", reflect.ValueOf(cfg).Elem())
	return t
}

func (t keyTable) add(section string, v reflect.Value) {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		if field.Anonymous {
			t.add(section, value)
			continue
		}
		name := strings.TrimPrefix(section+"."+field.Tag.Get("toml"), ".")
		if value.Kind() == reflect.Struct {
			t.add(name, value)
			continue
		}
		t[name] = value
	}
}

// names lists all keys in order, with those that name a secret's file.
func (t keyTable) names() []string {
	var all []string
	for name, v := range t {
		all = append(all, name)
		if _, given := t[name+fileSuffix]; secret(v) && !given {
			all = append(all, name+fileSuffix)
		}
	}
	slices.Sort(all)
	return all
}

// fileSuffix makes the key of a secret's file from the key of the secret.
const fileSuffix = "_file"

// secretOf returns the secret that is given by its file under key.
func (t keyTable) secretOf(key string) (name string, ok bool) {
	name, ok = strings.CutSuffix(key, fileSuffix)
	return name, ok && t[name].IsValid() && secret(t[name])
}

// secret reports whether a field hides itself from logs.
func secret(v reflect.Value) bool {
	_, ok := v.Interface().(slog.LogValuer)
	return ok
}

// set puts what TOML gave into a field.
func set(field reflect.Value, value any) error {
	if field.Type() == reflect.TypeFor[time.Duration]() {
		s, ok := value.(string)
		if !ok {
			return wrongKind("a duration in quotes, such as \"3s\"", value)
		}
		return setDuration(field, s)
	}
	switch field.Kind() {
	case reflect.String:
		s, ok := value.(string)
		if !ok {
			return wrongKind("a string in quotes", value)
		}
		field.SetString(s)
	case reflect.Bool:
		b, ok := value.(bool)
		if !ok {
			return wrongKind("true or false", value)
		}
		field.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, ok := value.(int64)
		if !ok {
			return wrongKind("a whole number", value)
		}
		field.SetInt(n)
	case reflect.Slice:
		return setList(field, value)
	}
	return nil
}

func setDuration(field reflect.Value, s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is no duration; write it as in \"3s\", \"500ms\" or \"1m30s\"", s)
	}
	field.SetInt(int64(d))
	return nil
}

func setList(field reflect.Value, value any) error {
	items, ok := value.([]any)
	if !ok {
		return wrongKind("a list of strings, such as [\"a\", \"b\"]", value)
	}
	list := reflect.MakeSlice(field.Type(), len(items), len(items))
	for i, item := range items {
		s, ok := item.(string)
		if !ok {
			return fmt.Errorf("element %d: %w", i+1, wrongKind("a string in quotes", item))
		}
		list.Index(i).SetString(s)
	}
	field.Set(list)
	return nil
}

// wrongKind does not show the value, which may be a secret.
func wrongKind(want string, got any) error {
	kinds := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Int64: "a number", reflect.Float64: "a number with a fraction",
		reflect.Bool: "true or false", reflect.Slice: "a list", reflect.Map: "a section",
	}
	kind, ok := kinds[reflect.ValueOf(got).Kind()]
	if !ok {
		kind = "of another kind"
	}
	return fmt.Errorf("is %s; want %s", kind, want)
}

// setText puts what an environment variable gave into a field. Lists are separated by commas.
func setText(field reflect.Value, text string) error {
	switch field.Kind() {
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("want true or false")
		}
		return set(field, b)
	case reflect.Int, reflect.Int64:
		if field.Type() == reflect.TypeFor[time.Duration]() {
			break
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("want a whole number")
		}
		return set(field, n)
	case reflect.Slice:
		var items []any
		for _, s := range strings.Split(text, ",") {
			items = append(items, strings.TrimSpace(s))
		}
		return set(field, items)
	}
	return set(field, text)
}
